"""Words spoken by espeak-ng, in processes of their own, which alone load it."""

import ctypes
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from ctypes.util import find_library
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from augmind.core import decoding
from augmind.core.decoding import Answer, CannotRead
from augmind.core.errors import MachineError, UsageError, first_line
from augmind.core.store import digest

ENGINE = "espeak-ng"
PROGRAM = decoding.PROGRAM.format(__name__)
"""What a worker runs."""
FILES = {"linux": "libespeak-ng.so", "darwin": "libespeak-ng.dylib", "win32": "espeak-ng.dll"}
SYNCHRONOUS, DONT_EXIT, UTF8, CHARACTERS = 2, 0x8000, 1, 1
"""Constants of espeak-ng's interface: samples come by a callback, errors are returned, texts are UTF-8, positions are characters."""
RATE, PITCH, RANGE = 1, 3, 4
"""Numbers of its parameters: words a minute, and two from 0 to 99."""
SEED = 1
"""Of its noise, at the beginning of every text."""
LONGEST = 140
"""Bytes of the path of its voices; it keeps 160 of those of files in there."""
NO_VOICE = "no voice"
"""How it begins what it says of a voice that it does not have."""


@dataclass(frozen=True, kw_only=True)
class Said:
    """A text and how it is spoken: a language, perhaps with a variant ("en-us+f3"), words a minute, and a pitch and its range from 0 to 99."""

    text: str
    voice: str = "en"
    speed: int = 160
    pitch: int = 50
    range: int = 50


def engine() -> str | None:
    """Where espeak-ng's library lies: what `augmind models pull espeak-ng` fetched, a package that carries it, or the system's name for its own."""
    from augmind.nn.weights import located

    file = (located(ENGINE) or Path()) / FILES.get(sys.platform, FILES["linux"])
    return str(file) if file.is_absolute() and file.is_file() else find_library(ENGINE)


def needed() -> str:
    """`engine`. Raises `MachineError` with the way to it."""
    from augmind.nn.weights import located

    if found := engine():
        if (folder := data_beside(found)) and len(folder) > LONGEST:
            text = f"espeak-ng reads its voices from folders of at most {LONGEST} bytes, and '{os.fsdecode(folder)}' has {len(folder)}"
            raise MachineError(text, help=f"set AUGMIND_CACHE to a shorter one and fetch it again: augmind models pull {ENGINE}", code="ENV-004")
        return found
    text, way = "speech comes from espeak-ng, which is not on this machine", f"get it once with: augmind models pull {ENGINE} (10 MB)"
    if folder := located(ENGINE):
        text, way = f"'{folder}' holds no library of espeak-ng", f"delete that folder, then: augmind models pull {ENGINE}"
    raise MachineError(text, help=f"{way}, or as a package of your system (apt install espeak-ng)", code="ENV-004")


def spoken(place: str, said: Said) -> tuple[np.ndarray, int]:
    """16-bit samples and their rate. Raises `CannotRead` where espeak-ng refuses.

    The library is loaded for this text and let go after it, and its two sources of noise begin at `SEED`: its phases and noise would otherwise go on
    from text to text, and a text sound otherwise in other company.
    """
    try:
        lib = ctypes.CDLL(place)
        rate = lib.espeak_Initialize(SYNCHRONOUS, 0, data_beside(place), DONT_EXIT)
    except (OSError, AttributeError) as error:
        raise CannotRead(f"the library cannot be loaded: {first_line(error)}") from error
    try:
        if rate <= 0:
            raise CannotRead("its data are missing or damaged")
        return synthesised(lib, said), rate
    finally:
        lib.espeak_Terminate()
        closed(lib)


def synthesised(lib: ctypes.CDLL, said: Said) -> np.ndarray:
    """What a library that has been started says."""
    parts = list[bytes]()

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
    def keep(samples: int | None, count: int, _events: int | None) -> int:
        if samples and count:
            parts.append(ctypes.string_at(samples, 2 * count))
        return 0

    if seed := getattr(lib, "espeak_ng_SetRandSeed", None):
        seed(ctypes.c_long(SEED))
    (ctypes.cdll.msvcrt if sys.platform == "win32" else ctypes.CDLL(None)).srand(SEED)
    lib.espeak_SetSynthCallback(keep)
    if lib.espeak_SetVoiceByName(said.voice.encode()):
        raise CannotRead(f"{NO_VOICE} '{said.voice}'")
    for number, value in ((RATE, said.speed), (PITCH, said.pitch), (RANGE, said.range)):
        lib.espeak_SetParameter(number, value, 0)
    text = said.text.encode()
    if lib.espeak_Synth(text, ctypes.c_size_t(len(text) + 1), 0, CHARACTERS, 0, UTF8, None, None) or lib.espeak_Synchronize():
        raise CannotRead(f"it cannot say {said.text!r}")
    return np.frombuffer(b"".join(parts), dtype="<i2")


def version(place: str) -> str:
    """What a library says of itself."""
    lib = ctypes.CDLL(place)
    lib.espeak_Info.restype = ctypes.c_char_p
    return str(lib.espeak_Info(None))


def data_beside(place: str) -> bytes | None:
    """The folder of voices beside a library that was fetched; None for the system's, which knows its own."""
    folder = Path(place).parent
    return os.fsencode(folder) if Path(place).is_absolute() and (folder / "espeak-ng-data").is_dir() else None


def closed(lib: ctypes.CDLL) -> None:
    """Lets the library go; the next loading starts from its first state where the system really does."""
    import _ctypes

    let_go: Any = getattr(_ctypes, "dlclose", None) or getattr(_ctypes, "FreeLibrary")  # noqa: B009
    let_go(lib._handle)


def serve() -> None:
    """The life of a worker."""
    decoding.serve(answer)


def answer(request: Path | bytes, how: str) -> Answer:
    """Samples of 16 bits; to an empty request the version."""
    assert isinstance(request, bytes)
    if not request:
        return Answer({"version": version(how)}, b"")
    samples, rate = spoken(how, Said(**json.loads(request)))
    return Answer({"rate": rate}, samples.tobytes())


@dataclass(frozen=True, kw_only=True)
class Pool(decoding.Pool):
    """Speaks many texts in order with bounded memory."""

    program: str = field(default_factory=lambda: PROGRAM)

    def spoken(self, texts: Iterable[Said], place: str) -> Iterator[tuple[Float[np.ndarray, " t"], int]]:
        """Waves, -1..1, and their rates. Raises `UsageError` for a voice that there is not, `MachineError` where the library fails."""
        for found in self.answers((json.dumps(asdict(said)).encode() for said in texts), place):
            if isinstance(found, CannotRead):
                if str(found).startswith(NO_VOICE):
                    way = "give a language that it speaks, such as en, en-us, de, fr, es or cmn: --set tts.language=de"
                    raise UsageError(f"espeak-ng has {found}", help=way)
                way = f"fetch it anew: delete its folder (augmind models path {ENGINE}), then augmind models pull {ENGINE}"
                raise MachineError(f"espeak-ng failed: {found}", help=way)
            yield np.frombuffer(found.data, dtype="<i2").astype(np.float32) / 32768, found.about["rate"]

    def voices(self, text: str, voices: Sequence[str], place: str) -> tuple[str, ...]:
        """Those of these voices that this version of the library has. Raises as `spoken` where there is none."""
        asked = (json.dumps(asdict(Said(text=text, voice=voice))).encode() for voice in voices)
        known = tuple(v for v, found in zip(voices, self.answers(asked, place), strict=True) if not isinstance(found, CannotRead))
        if not known:
            list(self.spoken([Said(text=text, voice=voices[0])], place))
        return known


@cache
def content(place: str) -> str:
    """A hash of the library: of its files where they lie together, else of what the system's says of itself."""
    from augmind.nn import weights

    if data_beside(place):
        return weights.content(Path(place).parent)
    (found,) = Pool().answers([b""], place)
    return digest(place, str(found) if isinstance(found, CannotRead) else found.about["version"])
