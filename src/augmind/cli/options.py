"""Options that several verbs share: said once, documented once."""

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
        if not name or not count.isdigit() or int(count) < 1:
            raise UsageError(f"{flag} '{pair}' is not NAME=NUMBER", help=f"write for example {flag} {EXAMPLES[flag]}")
        found[name] = int(count)
    return found or None


@Parameter(name="*", group=DATA)
@dataclass(frozen=True, kw_only=True)
class Columns:
    """How a dataset is read."""

    label: str | None = None
    """The column that holds the class."""
    column: str | None = None
    """The column that holds the path or bytes of a picture."""
    text: str | None = None
    """The column that holds the text of a row."""
    group: str | None = None
    """The column of subject, site or recording: its members never cross a split."""
    split: str | None = None
    """The column that says train or test."""
    size: int | None = None
    """The side, in pixels, to which everything is brought (default: the pictures' own, 64 at most)."""
    download: Annotated[bool, Parameter(negative="")] = False
    """Allow fetching a dataset from the Hugging Face Hub."""

    def options(self) -> dict[str, Any]:
        return asdict(self)


@Parameter(name="*", group=WORK)
@dataclass(frozen=True, kw_only=True)
class Work:
    """What is trained, and how long."""

    preset: Literal["quick", "balanced", "thorough"] | None = None
    """quick: a first honest answer in minutes; balanced (default): every learner, longer training; thorough: up to an hour or more."""
    budget: str | None = None
    """Wall time to aim at: 90s, 10m, 1.5h. Scales training lengths and, unless given, the trials; never the rules of the comparison."""
    generators: str | None = None
    """Which generators, by comma: vae, gan, diffusion, feature."""
    learner: str | None = None
    """Which downstream models, by comma: probe, cnn, finetune."""
    backbone: str | None = None
    """The pretrained network: lite0, a name (resnet18, resnet50, convnext-tiny, vit-small, vit-base, dinov2-small, dinov2-base, vgg11,
    vgg16), a Hub id or a folder with safetensors."""
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


@Parameter(name="*", group=SEARCH)
@dataclass(frozen=True, kw_only=True)
class Tries:
    """How a policy is searched."""

    trials: int | None = None
    """Policies to try for each fold and learner (default: 24 quick, 40 balanced, 100 thorough)."""
    sampler: Literal["tpe", "gp", "random"] | None = None
    """What proposes policies: tpe (default), gp or random."""
    warm: Annotated[list[str] | None, Several] = None
    """Finished runs whose winning policies are tried first."""
    storage: str | None = None
    """A database URL (sqlite:///study.db, postgresql://me:$NAME@host/db) through which runs of the same search share the work."""

    def options(self) -> dict[str, Any]:
        return asdict(self) | {"warm": tuple(self.warm) if self.warm else None}


COLUMNS, WORKS, TRIES = Columns(), Work(), Tries()
"""Nothing said."""
