"""What a run is made of where nobody says."""

from typing import Any

from .core.errors import MachineError, UsageError
from .core.registry import find, make
from .core.seeds import stable_seed
from .core.sides import specs_of
from .core.tune import place_of, placed, ranges
from .core.types import Choice, Spec
from .presets import Preset

GENERATORS = ("vae", "gan", "diffusion", "feature")
JOINT = ("apart", "vae", "feature")
"""Generators of rows that join several kinds: each side by its own, the whole row, its features."""
ASKED = ("lm",)
"""Generators that have to be asked for, since they read a model that may not be on this machine."""
READY = ("tts", "pseudo")
"""Generators that take part without being asked where what they need is there: they are fast, and know something that the rows do not."""
POOLED = "pseudo"
"""The one of them that needs rows without labels."""
POOL_PART, POOL_MOST, POOL_SHARE = 0.5, 100.0, 0.75
"""Of the rows without labels the part that is wanted with one, at most so many for a labelled row, and their part of every batch."""
DRAWN_PART = 0.5
"""Rows drawn for one that got a label, where generators learn from these: half of a batch is of these then, and a quarter drawn."""
SHARE, READY_MIX = 0.25, (4.0, 0.5)
"""The synthetic part of every batch; where all generators are of `READY` the rows per real row (else the preset says) and that part: rows of voices
that were not heard are worth as much as the real ones (`docs/log.md`, spoken digits)."""
ENOUGH, TRIES = 0.5, 6
"""Where those of `READY` supply this part of the rows wanted of every class, drawing at most so many for one that is wanted, the generators that
would have to learn are left out of a fold."""
SCREENS = ("agreement", "sides", "fidelity", "novelty", "duplicates", "diversity")
OWN_SCREENS = ("recording", "form", "leaks", "ngrams", "likeliest")
"""Screens of rows of one kind; they come first where the rows are of that kind and not their features."""
COSTLY = ("steps", "batch", "width", "latent", "points", "vocabulary")
"""Fields of generators on which the cost of a training depends; a search leaves them alone."""


def fitting(kind: str, wanted: tuple[str, ...], spec: Spec) -> tuple[str, ...]:
    """Of these plug-ins those that can take such rows, or work on features, which any rows have."""
    able = (n for n in wanted if spec.sides or not find(kind, n).sided)
    return tuple(n for n in able if find(kind, n).space == "features" or not find(kind, n).refuses(spec))


def usual_generators(spec: Spec, notes: list[str], asked: dict[str, dict[str, Any]], pool: int = 0) -> tuple[str, ...]:
    """The generators of a run that names none, with the settings asked for; a note where one of them lacks something on this machine."""
    found = fitting("generators", JOINT if spec.sides else GENERATORS, spec)
    for name in fitting("generators", READY if pool else tuple(n for n in READY if n != POOLED), spec):
        try:
            make("generators", Choice(name=name, settings=asked.get(name, {}))).ready()
        except MachineError as error:
            notes.append(f"'{name}' is left out: {error}; {error.help}")
        else:
            found = (name, *found)
    return found


def check_pool(generators: tuple[str, ...], pool: int) -> None:
    """Raises `UsageError` where rows without labels are given and nothing uses them, or none are and something would."""
    if bool(pool) == (POOLED in generators):
        return
    if POOLED in generators:
        raise UsageError(f"'{POOLED}' labels the rows of --unlabelled, and there are none", help="add --unlabelled FOLDER")
    raise UsageError(f"nothing here uses the {pool:,} rows of --unlabelled", help=f"add {POOLED} to --generators, or leave --unlabelled out")


def mixed_in(preset: Preset, asked: tuple[float | None, float | None], *, knows: bool, pool: float = 0.0) -> tuple[float, float]:
    """Synthetic rows per real row and their part of every batch: as asked, else more where every generator `knows` what the rows do not, and
    most where there are `pool` rows without labels for one with a label."""
    ratio, share = READY_MIX if knows else (preset.ratio, SHARE)
    if knows and pool:
        ratio, share = min(POOL_MOST, POOL_PART * pool), POOL_SHARE
    return asked[0] or ratio, asked[1] or share


def amounts(
    preset: Preset, asked: tuple[float | None, float | None], generators: tuple[str, ...], first: tuple[str, ...], *, pool: float, plain: bool
) -> dict[str, Any]:
    """What a plan says of how much is drawn: `ratio`, `share`, `rest` and `conditioned`. `pool` is rows without labels for one with a label;
    generators that are named beside `POOLED` learn from these, in a `plain` run: without a search or a related dataset."""
    knowing = tuple(g for g in generators if g in READY)
    conditioned = plain and POOLED in generators and knowing != generators and not first
    ratio, share = mixed_in(preset, asked, knows=conditioned or (bool(knowing) and (first or generators) == knowing), pool=pool)
    rest = (DRAWN_PART * ratio, share) if conditioned else mixed_in(preset, asked, knows=False) if first else (0.0, 0.0)
    return {"ratio": ratio, "share": share, "rest": rest, "conditioned": conditioned}


def of_sides(spec: Spec, notes: list[str]) -> dict[str, dict[str, Any]]:
    """Settings by plug-in that follow from the sides of rows: the first of the usual generators of each; a note where one lacks something here."""
    return {"apart": {"by": [usual_generators(side, notes, {})[0] for side in specs_of(spec)]}} if spec.sides else {}


def other_settings(generators: tuple[str, ...], seed: int, preset: Preset) -> dict[str, dict[str, Any]]:
    """Settings of generators beside their defaults, by key: every tunable field that costs nothing, half-way to a random place."""
    out: dict[str, dict[str, Any]] = {}
    for name in generators:
        plugin = find("generators", name)
        free = {n: r for n, r in ranges(plugin).items() if n not in COSTLY}
        for i in range(preset.variants if free else 0):
            places = [stable_seed(seed, "settings", name, i, n) % 10_000 / 10_000 for n in free]
            settings = dict(preset.settings.get(name, {}))
            for (field_name, allowed), u in zip(free.items(), places, strict=True):
                default = place_of(allowed, plugin.__dataclass_fields__[field_name].default)
                settings[field_name] = placed(allowed, u if allowed.options else (default + u) / 2)
            out[f"{name}~{i + 1}"] = settings
    return out
