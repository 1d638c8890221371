"""Options that several verbs share: said once, documented once."""

import json
import re
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from cyclopts import Group, Parameter

from augmind.core.errors import UsageError

DATA = Group("Data", sort_key=1)
WORK = Group("Work", sort_key=2)
PROOF = Group("Proof", sort_key=3)
SEARCH = Group("Search", sort_key=4)

Several = Parameter(consume_multiple=True, negative="")
Quiet = Annotated[bool, Parameter(name=["--quiet", "-q"], negative="")]
AsJson = Annotated[bool, Parameter(name=["--json"], negative="")]

EXAMPLES = {"--want": "spoons=500 forks=200", "--steps": "vae=1000 diffusion=2000"}


def listed(flag: str, text: str | None) -> tuple[str, ...] | None:
    """ "a,b" as ("a", "b"). Raises `UsageError` where no name is left."""
    if text is None:
        return None
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    if not found:
        raise UsageError(f"{flag} '{text}' names nothing", help="give names by comma, or leave it out")
    return found


def numbers(flag: str, pairs: list[str] | None) -> dict[str, int] | None:
    """ "spoons=500" as {"spoons": 500}. Raises `UsageError` for anything else."""
    found: dict[str, int] = {}
    for pair in pairs or []:
        name, _, count = pair.rpartition("=")
        if not name or not count.isdecimal() or int(count) < 1:
            raise UsageError(f"{flag} '{pair}' is not NAME=NUMBER, of 1 or more", help=f"write for example {flag} {EXAMPLES[flag]}")
        found[name] = int(count)
    return found or None


def meanings(pairs: list[str] | None) -> dict[str, str] | None:
    """ "0=a bad review" as {"0": "a bad review"}; a name with "=" in it stands in quotes: '"a=b"=words'. Raises `UsageError` for anything else."""
    found: dict[str, str] = {}
    for pair in pairs or []:
        quote = re.match(r'("(?:[^"\\]|\\["\\])+")=', pair)
        name, words = (json.loads(quote[1], strict=False), pair[quote.end() :]) if quote else (pair.partition("=")[0], pair.partition("=")[2])
        if not name or not words.strip():
            way = 'write for example --describe 0="a bad review" 1="a good review", and for a class a=b --describe \'"a=b"=words\''
            raise UsageError(f"--describe '{pair}' is not CLASS=WORDS", help=way)
        found[name] = words.strip()
    return found or None


def given(pairs: list[str] | None) -> dict[str, Any] | None:
    """ "finetune.lora=8" as {"finetune.lora": 8}; values are JSON, or words as they are. Raises `UsageError` for anything else."""
    found: dict[str, Any] = {}
    for pair in pairs or []:
        name, mark, text = pair.partition("=")
        if not mark or not all(name.partition(".")):
            raise UsageError(f"--set '{pair}' is not PLUGIN.SETTING=VALUE", help="write for example --set finetune.lora=8 vae.beta=0.3")
        try:
            found[name] = json.loads(text)
        except ValueError as error:
            if text.lstrip().startswith(("[", "{")):
                example = f'write {name}=one,another, or with the quotes {name}=\'["one", "another"]\''
                raise UsageError(f"--set '{pair}' begins like a list and is no JSON", help=example) from error
            found[name] = {"True": True, "False": False}.get(text, text)
    return found or None


@Parameter(name="*", group=DATA)
@dataclass(frozen=True, kw_only=True)
class Columns:
    """How a dataset is read."""

    label: str | None = None
    """The column that holds the class."""
    column: str | None = None
    """The column that holds the path or bytes of a picture or sound; two by comma, image,sound, where a row is a picture with its sound."""
    beside: str | None = None
    """A folder or archive of sounds for a folder of pictures, or the other way round: files of one name (cats/1.png, cats/1.wav) make one row. Files
    of one name in one folder do so by themselves."""
    text: str | None = None
    """The column that holds the text of a row; two by comma, premise,hypothesis, where a row is a pair (--group premise keeps a premise together)."""
    group: str | None = None
    """The column of subject, site or recording: its members never cross a split. Where the names of files tell it, a pattern of them: `'*_{}_*'` for
    0_jackson_12.wav, `'{}/*/*'` for the second folder above a file."""
    split: str | None = None
    """The column that says train or test."""
    size: int | None = None
    """The side, in pixels, to which everything is brought (default: the pictures' own, 64 at most)."""
    chunk: float | None = None
    """Seconds to which sounds are cut, so that a long file makes several rows with its label, which never cross a split (default: a row a file)."""
    download: Annotated[bool, Parameter(negative="")] = False
    """Allow fetching a dataset from the Hugging Face Hub."""

    label_from_folder: Annotated[bool, Parameter(negative="")] = False
    """The folder that a file lies in is its class, as it is for every folder and archive without a table."""

    def options(self) -> dict[str, Any]:
        found = asdict(self)
        if found.pop("label_from_folder") and self.label:
            raise UsageError(f"--label-from-folder and --label {self.label} both say what the classes are", help="give one of them")
        return found


@Parameter(name="*", group=WORK)
@dataclass(frozen=True, kw_only=True)
class Work:
    """What is trained, and how long."""

    preset: Literal["quick", "balanced", "thorough"] | None = None
    """quick: a first honest answer in minutes; balanced (default): every learner, longer training; thorough: up to an hour or more."""
    budget: str | None = None
    """Wall time to aim at: 90s, 10m, 1.5h. Scales training lengths and, unless given, the trials; never the rules of the comparison."""
    generators: str | None = None
    """Which generators, by comma: vae, gan, diffusion, feature, and vanilla_gan, wgan_gp, transformer_gan, flow, delta (a real row plus a
    difference learnt from other classes, for rare ones), translate (real rows spoilt and translated back), ensemble (several of these:
    --set ensemble.by=vae,gan), pretrained (any pipeline of diffusers: --set pretrained.model=stabilityai/sd-turbo), pseudo (labels for the
    rows of --unlabelled; asked first); of texts feature, lm (a language model; see augmind models), llm (one behind an OpenAI-compatible
    endpoint: --set llm.url=URL llm.model=NAME), text_vae (an autoencoder learnt from the rows); of sounds also tts (class names spoken by
    espeak-ng: augmind models pull espeak-ng; or by --set tts.model=MODEL; it is asked first) and wavegan (waves of up to 2 seconds learnt
    from the rows alone); of pictures with sounds apart (a generator a side: --set apart.by=vae,tts), vae, feature."""
    learner: str | None = None
    """Which downstream models, by comma: probe, cnn, finetune; of texts probe, tfidf, textcnn, and finetune where --backbone is an encoder;
    of sounds probe, crnn, and finetune where --backbone is a network; of pictures with sounds probe, late_fusion."""
    backbone: str | None = None
    """The pretrained network. Of pictures: lite0, a name (resnet18, resnet50, convnext-tiny, vit-small, vit-base, dinov2-small, dinov2-base, vgg11,
    vgg16); of texts: hash (no weights), minilm (English), use-multilingual; of sounds: mfcc (no weights), speech, speaker; a Hub id or a folder with
    safetensors; of pictures with sounds image=NAME,audio=NAME."""
    steps: Annotated[list[str] | None, Several] = None
    """Training steps of generators and learners, instead of the preset's: vae=1000 cnn=800."""
    jobs: int | None = None
    """Worker processes (default: one a core); the result does not depend on it."""
    seed: int | None = None
    """Everything random follows from it."""
    track: str | None = None
    """Where curves and figures go while the run works, by comma: tensorboard (default, to RUN/tensorboard), mlflow, wandb, or none."""

    def options(self) -> dict[str, Any]:
        lists = {name: listed(f"--{name}", getattr(self, name)) for name in ("generators", "learner", "track")}
        return asdict(self) | lists | {"steps": numbers("--steps", self.steps)}


@Parameter(name="*", group=DATA)
@dataclass(frozen=True, kw_only=True)
class Rows:
    """Which rows take part, and what their classes mean."""

    max_bad: float | None = None
    """The share of unreadable rows that is accepted (default 0.2)."""
    drop_rare: Annotated[bool, Parameter(negative="")] = False
    """Set classes with a single row aside instead of refusing them."""
    across: Annotated[bool, Parameter(negative="")] = False
    """Rows of one --group may stand on both sides of a split: for an attribute such as sex, never for subjects or recordings."""
    describe: Annotated[list[str] | None, Several] = None
    """What classes of text mean, in words, where their names do not say it: 0="a bad review" 1="a good review". Sentences made of
    these, or of the class names, stand beside the real rows in some of the arms. Of sounds what is spoken for a class (tts), of
    pictures what a pipeline is asked for (pretrained)."""
    say: str | None = None
    """What tts says and pretrained is asked for: a frame with {} for the word of the class ("the number {}"). For tts also the column of a table
    that holds what is said in each row; then the texts of a class's training rows are spoken for it."""

    def options(self) -> dict[str, Any]:
        flags = {"drop_rare": self.drop_rare or None, "across": self.across or None}
        return {"max_bad": self.max_bad, "say": self.say, "describe": meanings(self.describe)} | flags


@Parameter(name="*", group=WORK)
@dataclass(frozen=True, kw_only=True)
class Way:
    """How many synthetic rows there are, and where trainings begin."""

    ratio: float | None = None
    """Synthetic rows per real row (default 1; 4 where tts is asked first, or alone)."""
    balance: str | None = None
    """What the synthetic rows even out, by comma: class, group (needs --group); otherwise every class gets as many."""
    share: float | None = None
    """Part of every training batch that is synthetic (default 0.25; 0.5 with --target, and where tts is asked first, or alone)."""
    start: str | None = None
    """A finished run, or a model.safetensors of one, whose learner (cnn, finetune) every training begins from."""
    labels: str | None = None
    """How the classes of --start are called here where names differ: "old=new, old2=new2"."""
    set: Annotated[list[str] | None, Several] = None
    """Settings of plug-ins: finetune.lora=8 finetune.unfreeze=0.5 vae.beta=0.3. Of texts masked.model=MODEL (a masked language model) and
    backtranslation.model=MODEL backtranslation.back=MODEL (there and back) add a classical arm; lm.attributes=shorter,angrier names ways to
    write, lm.paraphrase=true asks for other wordings of real rows; fluency.model=MODEL and labeller.model=MODEL (with labeller.url=URL one behind an
    endpoint) have a language model judge synthetic rows; with --target, paraphrase.model=MODEL adds texts in other words. Of sounds
    tts.model=MODEL has a VITS model, such as facebook/mms-tts-eng, say the class names. Of pictures pretrained.model=ID names the pipeline,
    pretrained.task=variation|inpaint|prompt what it does, pretrained.adapt=lora|inversion how it learns from the rows. Lists are words by
    comma, or JSON."""

    def options(self) -> dict[str, Any]:
        return asdict(self) | {"balance": listed("--balance", self.balance), "set": given(self.set)}


@Parameter(name="*", group=PROOF)
@dataclass(frozen=True, kw_only=True)
class Proof:
    """How the comparison is made."""

    folds: int | None = None
    """Folds of the cross-validation that replaces a test set where there are too few rows for one."""
    repeats: int | None = None
    """How often the cross-validation is repeated with other folds (default: once)."""
    seeds: int | None = None
    """Repetitions of every arm, in every fold."""
    test: float | None = None
    """Seal this share of the rows as the test set instead of cross-validating."""
    margin: float | None = None
    """Non-inferiority margin in balanced accuracy: accept synthetic rows that are at most this much worse."""
    explain: bool = True
    """The learning curve and the part "Why" of the report; --no-explain leaves them out, which saves a tenth of the time and more."""

    def options(self) -> dict[str, Any]:
        return asdict(self) | {"explain": None if self.explain else False}


@Parameter(name="*", group=SEARCH)
@dataclass(frozen=True, kw_only=True)
class Tries:
    """How a policy is searched."""

    trials: int | None = None
    """Policies to try for each fold and learner (default: 24 quick, 40 balanced, 100 thorough); those that every search begins with
    are tried even if they are more."""
    sampler: Literal["tpe", "gp", "random"] | None = None
    """What proposes policies: tpe (default), gp or random."""
    warm: Annotated[list[str] | None, Several] = None
    """Finished runs whose winning policies are tried first; refused where they were chosen on rows that are tested here."""
    storage: str | None = None
    """A database URL (sqlite:///study.db, postgresql://me:$NAME@host/db) through which runs of the same search share the work."""

    def options(self) -> dict[str, Any]:
        return asdict(self) | {"warm": tuple(self.warm) if self.warm else None}


Part = Columns | Rows | Work | Way | Proof | Tries


def together(*parts: Part) -> dict[str, Any]:
    """What all these options say, as options of `augmind.expand`."""
    return {name: value for part in parts for name, value in part.options().items()}


COLUMNS, ROWS, WORKS, WAY, PROOFS, TRIES = Columns(), Rows(), Work(), Way(), Proof(), Tries()
"""Nothing said."""
