"""What a person may ask for where texts have translations, and the plan that it becomes."""

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from augmind.config import Config, validated
from augmind.core.errors import UsageError, unknown
from augmind.core.store import damaged_file, read_json
from augmind.modalities.text.parallel.augment import NOISES

PRIMARY = "all"
"""The arm that the verdict is about; it is fixed before any result is known."""
SETTINGS = {
    "translator.width": (int, 32, 512),
    "translator.depth": (int, 1, 6),
    "translator.dropout": (float, 0.0, 0.6),
    "translator.rate": (float, 1e-5, 2e-2),
    "translator.tokens": (int, 300, 32_000),
    "translator.batch": (int, 4, 256),
    "translator.beams": (int, 1, 8),
    "backtranslation.temperature": (float, 0.05, 2.0),
    "backtranslation.top_p": (float, 0.1, 1.0),
    "paraphrase.temperature": (float, 0.05, 2.0),
    "paraphrase.top_p": (float, 0.1, 1.0),
}
"""Settings that may be given, with their kinds and ranges; and `MODELS`."""
MODELS = {"backtranslation.model": "backtranslation", "paraphrase.model": "paraphrase"}
"""Settings that name a model -> what makes pairs with it. Texts are said in other words only where a model is named."""
PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"steps": 600, "seeds": 3, "width": 64, "depth": 1, "tokens": 1000, "batch": 16, "rate": 5e-3, "beams": 1},
    "balanced": {"steps": 2000, "seeds": 5, "width": 128, "depth": 2, "tokens": 2000, "batch": 32, "rate": 2e-3, "beams": 4},
    "thorough": {"steps": 8000, "seeds": 5, "width": 256, "depth": 2, "tokens": 4000, "batch": 32, "rate": 1e-3, "beams": 4},
}
STEP_SECONDS = 7e-7
"""A step of a translator on one thread, for a pair of the batch and a unit of the width squared plus a constant; measured on Multi30k."""
CALIBRATED, JUDGED, ROW_MB = 3e-3, 7e-4, 0.03
"""Seconds to learn the screens from a pair and to judge one, and the memory of a pair in a worker; 2,000 and 10,000 pairs of Multi30k."""


class Wish(BaseModel):
    """Everything that decides a run. `jobs` aside, equal wishes give equal results."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: str
    text: str
    target: str
    split: str | None = None
    max_bad: float = Field(0.2, ge=0, le=1)
    preset: Literal["quick", "balanced", "thorough"] = "balanced"
    seed: int = Field(0, ge=0, lt=2**31)
    seeds: int | None = Field(None, ge=1, le=50)
    steps: dict[str, Annotated[int, Field(ge=1, le=10**6)]] = Field(default_factory=dict)
    test: float | None = Field(None, gt=0, lt=1)
    ratio: float = Field(1.0, gt=0, le=20)
    share: float = Field(0.5, gt=0, le=0.9)
    unlabelled: str | None = None
    set: dict[str, Any] = Field(default_factory=dict)
    jobs: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=0)

    @property
    def makers(self) -> tuple[str, ...]:
        """What makes synthetic pairs."""
        return ("noise", "backtranslation", *(("paraphrase",) if "paraphrase.model" in self.set else ()))

    @property
    def arms(self) -> dict[str, tuple[str, ...]]:
        """The arms of the comparison, and what makes the synthetic pairs of each."""
        return {"real": (), **{maker: (maker,) for maker in self.makers}, PRIMARY: self.makers}

    @property
    def models(self) -> dict[str, str]:
        """What makes pairs with a model of its own -> that model."""
        return {maker: self.set[key] for key, maker in MODELS.items() if key in self.set}

    def setting(self, key: str) -> Any:
        """A setting that was given, else the preset's or the default."""
        defaults = {"dropout": 0.1, "temperature": 0.7, "top_p": 0.9, **PRESETS[self.preset]}
        return self.set.get(key, defaults.get(key.partition(".")[2], ""))


def wish(**options: Any) -> Wish:
    """A checked wish. Raises `UsageError` in one sentence for a wrong option, and for those that are about classes."""
    given = {k: v for k, v in options.items() if v is not None and v is not False and v not in ((), {})}
    for name in given:
        if name not in Wish.model_fields and name in Config.model_fields:
            way = f"leave it out; options beside --target: {', '.join(sorted(Wish.model_fields.keys() - {'data'}))}"
            raise UsageError(f"--{name.replace('_', '-')} is about classes, and --target asks for translation", help=way)
        if name not in Wish.model_fields:
            raise unknown("option", name, Wish.model_fields)
    if "text" not in given:
        text = f"--target {given.get('target')} names the column of translations, and none is named for the texts"
        raise UsageError(text, help="add --text COLUMN")
    made = validated(Wish, given)
    if made.text == made.target:
        raise UsageError(
            f"--text and --target both name the column '{made.text}'", help="name the column of the texts and that of their translations"
        )
    for name in made.steps:
        if name != "translator":
            raise unknown("model with steps", name, ["translator"])
    for key, value in made.set.items():
        check_setting(key, value)
    if lost := next((key for key in made.set if key.startswith("paraphrase.") and "paraphrase.model" not in made.set), ""):
        raise UsageError(f"--set {lost} is about paraphrases, and no model is named that writes them", help="add --set paraphrase.model=smollm2")
    return made


def check_setting(key: str, value: Any) -> None:
    if key in MODELS and isinstance(value, str) and value:
        return
    if key not in SETTINGS:
        raise unknown("setting of a translation", key, [*SETTINGS, *MODELS])
    kind, low, high = SETTINGS[key]
    fits = isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)
    if not fits or not low <= value <= high:
        what = "a whole number" if kind is int else "a number"
        raise UsageError(f"--set {key}={value!r} is not allowed", help=f"it may be {what} from {low:g} to {high:g}")
    if key == "translator.width" and value % 4:
        raise UsageError(f"--set {key}={value} is not allowed", help="the width is shared by 4 heads: give a multiple of 4")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What will be done, in numbers; written to `parallel.json` before the work."""

    mode: str
    rows: int
    test_rows: int
    seeds: int
    updates: int
    synthetic: int
    """New pairs of each kind for each seed."""
    estimates: dict[str, float]
    sources: dict[str, str] = field(default_factory=dict)
    """What makes pairs with a model -> hash of that model's files."""
    notes: tuple[str, ...] = ()
    steps: dict[str, int] = field(default_factory=dict)
    """What `progress.Display` weighs work by: nothing, all pieces being alike."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def make_plan(wish: Wish, *, mode: str, rows: int, test_rows: int, sources: dict[str, str] | None = None) -> Plan:
    """The plan for a corpus of this size. No more new pairs are drawn than all batches together can show."""
    preset, sources, arms = PRESETS[wish.preset], sources or {}, len(wish.arms)
    steps, seeds = int(wish.steps.get("translator") or preset["steps"]), int(wish.seeds or preset["seeds"])
    batch, width = wish.setting("translator.batch"), wish.setting("translator.width")
    synthetic = max(1, min(round(wish.ratio * rows), round(wish.share * batch * steps)))
    own = 0 if "backtranslation" in sources else seeds
    trainings = arms * seeds + own + len(NOISES)
    step = STEP_SECONDS * batch * (width**2 / 4 + 2000)
    decode = step / batch * 6 * wish.setting("translator.beams")
    seconds = trainings * steps * step + (arms * seeds * test_rows + own * synthetic) * decode + 5
    seconds += CALIBRATED * rows + JUDGED * len(wish.makers) * seeds * synthetic
    estimates = {"seconds": round(5 + seconds / max(1, wish.jobs), 1), "disk_mb": round(5 + seeds * width**2 * 1e-3, 1)}
    estimates["memory_mb"] = round(max(1, wish.jobs) * (480 + ROW_MB * rows), 1)
    notes: tuple[str, ...] = ()
    if rows < 5000:
        notes += (f"{rows:,} pairs are few for a translator that learns from nothing else: expect low chrF and BLEU in every arm",)
    for maker, what in (("backtranslation", "translates {:,} sentences back"), ("paraphrase", "says {:,} texts in other words")):
        if maker in sources:
            notes += (f"'{wish.models[maker]}' {what.format(seeds * synthetic)}, which is not in that time",)
    return Plan(
        mode=mode, rows=rows, test_rows=test_rows, seeds=seeds, updates=steps, synthetic=synthetic, estimates=estimates, sources=sources, notes=notes
    )


def plan_of(folder: Path) -> Plan:
    """What will be done in a run folder. Raises `AugmindError` for a damaged file."""
    path = folder / "parallel.json"
    try:
        record = read_json(path)
        return Plan(**{**record, "notes": tuple(record["notes"])})
    except (TypeError, KeyError) as error:
        raise damaged_file(path, ValueError("parts of it are missing")) from error
