"""Speech synthesis: what a class is called, spoken in many voices by espeak-ng (formant synthesis after Klatt 1980) or by a neural network."""

import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from augmind.core.errors import UsageError, WrongSpec, unknown
from augmind.core.loop import Curves
from augmind.core.plugin import Generator
from augmind.core.run import Finding, Run
from augmind.core.seeds import stream
from augmind.core.tune import tune
from augmind.core.types import Data, Knowledge, Spec
from augmind.modalities.audio.codec import AudioCodec
from augmind.modalities.audio.read import resampled, trimmed
from augmind.modalities.audio.speech import ENGINE, Pool, Said, content, needed
from augmind.modalities.audio.voices import NOISES, PACED, Spoken, Voice, kind_of, voices
from augmind.modalities.audio.voices import SPEEDS as PARTS
from augmind.modalities.audio.voices import needed as present
from augmind.nn import weights

ACCENTS = {
    "en": ("en", "en-us", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-029", "en-us-nyc"),
    "es": ("es", "es-419"),
    "fr": ("fr", "fr-be", "fr-ch"),
    "pt": ("pt", "pt-br"),
    "vi": ("vi", "vi-vn-x-central", "vi-vn-x-south"),
}
"""Languages of which espeak-ng has more than one accent."""
VOICES = (
    *("", "f1", "f2", "f3", "f4", "f5", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "klatt", "klatt2", "klatt3"),
    *("Alex", "Alicia", "Andrea", "Andy", "Annie", "Denis", "Diogo", "Gene", "Henrique", "Hugo", "Jacky", "Lee", "Marco", "Mario", "Michael", "Mike"),
    *("Nguyen", "Reed", "adam", "anika", "antonio", "aunty", "belinda", "benjamin", "boris", "caleb", "david", "ed", "edward", "grandma", "grandpa"),
    *("ian", "iven", "john", "linda", "marcelo", "max", "michel", "miguel", "norbert", "pablo", "paul", "pedro", "quincy", "rob", "robert", "sandro"),
    *("shelby", "steph", "travis", "victor", "zac"),
)
"""Variants of espeak-ng 1.52 that sound like people: none that whispers, croaks or is a robot. A version that lacks one speaks in its usual voice."""
SPEEDS, PITCHES, RANGES = (110, 220), (20, 80), (30, 80)
"""Words a minute, and espeak-ng's pitch and range, from 0 to 99, between which voices are drawn."""


@dataclass(kw_only=True)
class Tts(Generator):
    """Every class is spoken: what its training rows say, where that is known (`Data.says`), else what `describe` says for it, or its name; in the
    frame `say`. The row's seed picks the text, where there are several, and accent, voice, speed and pitch.

    What is known of speech comes from elsewhere: the sounds of a language, and voices. Trained on beside real rows and under the same transforms, it
    stands in for speakers that were not recorded; it has nothing to say of classes that are no words.

    language  espeak-ng's code ("en", "de", "cmn"), of which all accents are used where it has several, or one accent ("en-us")
    model     a folder or Hub id of a speech model that speaks instead of espeak-ng: of VITS, such as facebook/mms-tts-eng, of which the row's seed
              picks the speaker, where it has several, speed and noise; or another that `transformers` knows, such as suno/bark-small, which
              samples its voice by the seed
    say       what is said, with {} for the word: "the number {}"
    spread    how far speed, pitch and range, or speed and noise, lie from their middle, as a part of what sounds human
    voices    espeak-ng's variants to draw from ("f3", "m1", "Alicia"); none: all that sound like people
    rate      how much faster than usual, 0.5 to 2
    pitch     how much higher than usual, -40 to 40 of espeak-ng's scale of 100
    """

    axes: ClassVar[tuple[int, ...]] = (3,)
    waves: ClassVar[bool | None] = True
    knowledge: ClassVar[Knowledge] = Knowledge.pretrained

    language: str = "en"
    model: str = ""
    say: str = "{}"
    spread: float = tune(1.0, 0.0, 1.0)
    voices: list[str] = field(default_factory=list)
    rate: float = 1.0
    pitch: int = 0
    describe: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if "{}" not in self.say:
            raise UsageError(f"tts: say={self.say!r} is not allowed", help="it frames the word, which {} stands for: --set tts.say='the number {}'")
        for name in self.voices:
            if name not in VOICES or not name:
                raise unknown("voice of espeak-ng", name, VOICES[1:])
        for name, value, (low, high) in (("rate", self.rate, (0.5, 2)), ("pitch", self.pitch, (-40, 40))):
            if not low <= value <= high:
                raise UsageError(f"tts: {name}={value} is not allowed", help=f"it may be {low} to {high}")
        if self.model and (self.voices or self.pitch):
            text = f"tts: voices and pitch are about espeak-ng, and '{self.model}' has speakers of its own"
            raise UsageError(text, help="leave them out, or tts.model")
        if self.model and self.language != "en":
            text = f"tts: language={self.language!r} is about espeak-ng, and '{self.model}' speaks its own language"
            raise UsageError(text, help="leave out tts.language, or tts.model; of MMS-TTS every language has a model: facebook/mms-tts-deu")

    def ready(self) -> None:
        if self.model:
            present(self.model)
            for name, usual in (("rate", 1.0), ("spread", 1.0)):
                if (own := getattr(self, name)) != usual and kind_of(self.model) != PACED:
                    text = f"tts: {name}={own} is about models that take a pace, and '{self.model}' has one of its own"
                    raise UsageError(text, help=f"leave out tts.{name}, or name a VITS model such as facebook/mms-tts-eng")
            return
        place = needed()
        if self.language != "en":
            Pool(workers=1).voices("a", ACCENTS.get(self.language, (self.language,)), place)

    def source(self) -> str:
        return weights.content(present(self.model)) if self.model else content(needed())

    def fit(self, data: Data, run: Run) -> "Tts":
        self.require(data.spec)
        said = data.says or ((),) * data.classes
        texts = [[self._framed(text) for text in own] or [self._words(name)] for name, own in zip(data.spec.classes, said, strict=True)]
        accents = () if self.model else Pool(workers=1).voices(texts[0][0], ACCENTS.get(self.language, (self.language,)), needed())
        self._built(data.spec, texts, accents)
        heard = [[text for text, mute in zip(own, self._mute(own), strict=True) if not mute] for own in texts]
        self.texts_ = [own or [self._words(name)] for name, own in zip(data.spec.classes, heard, strict=True)]
        silent = [name for name, own in zip(data.spec.classes, self.texts_, strict=True) if all(self._mute(own))]
        told = zip(data.spec.classes, said, self.texts_, strict=True) if any(said) else ()
        unsaid = [name for name, own, texts in told if name not in self.describe and not set(texts) & set(map(self._framed, own))]
        if len(silent) == data.classes:
            way = "say what is to be spoken: --describe CLASS=WORDS, or choose other generators"
            raise WrongSpec(f"{self._speaker} can speak none of the classes ({', '.join(silent[:5])})", help=way)
        self.curves_ = Curves(findings=self._told(silent, unsaid))
        return self

    @property
    def _speaker(self) -> str:
        return f"'{self.model}'" if self.model else ENGINE

    def _mute(self, texts: list[str]) -> list[bool]:
        """Whether nothing is heard when one of these is spoken."""
        if self.model:
            return [voices(self.model).silent(text) for text in texts]
        waves = Pool(workers=1).spoken([Said(text=text, voice=self.accents_[0]) for text in texts], needed())
        return [not wave.any() for wave, _ in waves]

    def _built(self, spec: Spec, texts: list[list[str]], accents: tuple[str, ...]) -> None:
        self.spec_, self.texts_, self.accents_, self.codec_ = spec, texts, accents, AudioCodec(spec)

    def _told(self, silent: list[str], unsaid: list[str]) -> list[Finding]:
        """AM223: classes that cannot be spoken, of which no training row tells what is said, that hold letters which a model leaves out, or that are
        spoken as English and not written in its letters."""
        found = []
        if unsaid:
            told = f"no training row of {len(unsaid)} of the classes tells what is said in it: {', '.join(unsaid[:5])}; their names are spoken"
            found.append(Finding("AM223", "warning", told, {"classes": unsaid}))
        if silent:
            told = f"{len(silent)} of the classes are silent when they are spoken: {', '.join(silent[:5])}"
            found.append(Finding("AM223", "warning", f"{told}; give their words with --describe CLASS=WORDS", {"classes": silent}))
        named = list(zip(self.spec_.classes, self.texts_, strict=True))
        if self.model:
            cut = {name: lost for name, own in named if name not in silent and (lost := voices(self.model).unknown("".join(own)))}
            if some := [*cut.items()][:5]:
                told = f"{len(cut)} of the classes hold letters that {self._speaker} leaves out: {', '.join(f'{c} of {n}' for n, c in some)}"
                found.append(Finding("AM223", "warning", f"{told}; give their words with --describe CLASS=WORDS", {"classes": [*cut]}))
            return found
        foreign = [name for name, own in named if not latin("".join(own))]
        if foreign and self.language.partition("-")[0] == "en":
            told = f"{len(foreign)} of the classes are not in Latin letters and were spoken as English: {', '.join(foreign[:5])}"
            found.append(Finding("AM223", "warning", f"{told}; name their language, as in --set tts.language=cmn", {"classes": foreign}))
        return found

    def _words(self, name: str) -> str:
        """What is spoken for a class of which nothing else is known."""
        return self._framed(self.describe.get(name, re.sub(r"[_/\s-]+", " ", name).strip() or name))

    def _framed(self, words: str) -> str:
        return self.say.replace("{}", words)

    def _text(self, k: int, seed: int) -> str:
        """What is said in one row."""
        own = self.texts_[k]
        return own[int(torch.randint(len(own), (), generator=stream("tts", "text", seed)))]

    def _said(self, k: int, seed: int) -> Said:
        """What espeak-ng says for one row, and how."""
        rng = stream("tts", seed)

        def one(options: tuple[str, ...]) -> str:
            return options[int(torch.randint(len(options), (), generator=rng))]

        def within(ends: tuple[int, int]) -> int:
            return round(between(ends, self.spread, rng))

        accent, variant = one(self.accents_), one(tuple(self.voices) or VOICES)
        voice = f"{accent}+{variant}" if variant else accent
        speed, pitch = round(self.rate * within(SPEEDS)), min(99, max(0, within(PITCHES) + self.pitch))
        return Said(text=self._text(k, seed), voice=voice, speed=speed, pitch=pitch, range=within(RANGES))

    def _voice(self, own: Spoken, seed: int) -> Voice:
        """How a model says one row."""
        rng = stream("tts", seed)
        speaker = int(torch.randint(own.speakers, (), generator=rng))
        return Voice(speaker=speaker, speed=self.rate * between(PARTS, self.spread, rng), noise=between(NOISES, self.spread, rng))

    def notes(self, y: Int[Tensor, " n"], seeds: Int[Tensor, " n"]) -> list[str]:
        """What is said in each row, and in which voice."""
        return [self._note(k, seed) for k, seed in zip(y.tolist(), seeds.tolist(), strict=True)]

    def _note(self, k: int, seed: int) -> str:
        if not self.model:
            said = self._said(k, seed)
            return f'"{said.text}", {said.voice}, {said.speed} words a minute, pitch {said.pitch}'
        if kind_of(self.model) != PACED:
            return f'"{self._text(k, seed)}"'
        own = voices(self.model)
        how = self._voice(own, seed)
        return f'"{self._text(k, seed)}"{f", speaker {how.speaker}" if own.speakers > 1 else ""}, speed {how.speed:.2f}'

    def _spoken(self, rows: list[tuple[int, int]]) -> Iterator[tuple[Float[np.ndarray, " t"], int]]:
        """Waves and their rates for these labels and seeds."""
        if not self.model:
            yield from Pool(workers=1).spoken([self._said(k, seed) for k, seed in rows], needed())
            return
        own = voices(self.model)
        for k, seed in rows:
            yield own.spoken(self._text(k, seed), self._voice(own, seed), seed), own.rate

    def sample(self, y: Int[Tensor, " n"], seeds: Int[Tensor, " n"]) -> Float[Tensor, "n 1 bands frames"]:
        waves = [self._placed(wave, rate) for wave, rate in self._spoken(list(zip(y.tolist(), seeds.tolist(), strict=True)))]
        return self.spec_.to_model(self.codec_.encode(waves))

    def _placed(self, wave: Float[np.ndarray, " t"], rate: int) -> Float[np.ndarray, " u"]:
        """A wave as one of a file is: trimmed, at the rate of the rows."""
        return resampled(trimmed(wave, rate), rate, self.spec_.rate) if wave.any() else np.zeros(1, np.float32)

    def state(self) -> dict[str, Tensor]:
        said = json.dumps({"texts": self.texts_, "accents": self.accents_}).encode()
        return {"said": torch.frombuffer(bytearray(said), dtype=torch.uint8)}

    def restore(self, spec: Spec, state: dict[str, Tensor]) -> "Tts":
        self.require(spec)
        said = json.loads(state["said"].numpy().tobytes())
        self._built(spec, said["texts"], tuple(said["accents"]))
        return self


def latin(text: str) -> bool:
    """Whether all letters are Latin."""
    return all("LATIN" in unicodedata.name(c, "") for c in text if c.isalpha())


def between(ends: tuple[float, float] | tuple[int, int], spread: float, rng: torch.Generator) -> float:
    """A number around the middle of these ends, as far from it as `spread` allows, a part of the whole way."""
    (low, high), u = ends, 2 * float(torch.rand((), generator=rng)) - 1
    return (low + high) / 2 + (high - low) / 2 * spread * u
