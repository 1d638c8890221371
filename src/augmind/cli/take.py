"""The verbs that take something out of a run: sample, directions, export."""

from math import isfinite, nan
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from augmind.core.errors import UsageError

from .app import app, err, out


@app.command
def sample(
    folder: Path,
    *,
    label: str,
    n: Annotated[int, Parameter(name=["-n", "--number"])] = 50,
    out_folder: Annotated[Path | None, Parameter(name=["--out"])] = None,
    generator: str | None = None,
    like: Annotated[list[str] | None, Parameter(consume_multiple=True, negative="")] = None,
    unlike: Annotated[list[str] | None, Parameter(consume_multiple=True, negative="")] = None,
    where: Annotated[list[str] | None, Parameter(consume_multiple=True, negative="")] = None,
    mix: Annotated[list[str] | None, Parameter(consume_multiple=True, negative="")] = None,
    along: Annotated[list[str] | None, Parameter(consume_multiple=True, negative="")] = None,
) -> None:
    """Draw more synthetic rows of one class from a finished run, screened like the others.

    Examples:

        augmind sample runs/photos --label spoons -n 50
        augmind sample runs/photos --label spoons -n 50 --generator diffusion --out spoons/
        augmind sample runs/photos --label spoons -n 20 --mix forks=0.3
        augmind sample runs/photos --label spoons -n 20 --along 1=2
        augmind sample runs/photos --label spoons -n 20 --like ladle.png teaspoon.png
        augmind sample runs/photos --label spoons -n 20 --like silver-1.png silver-2.png --unlike wood-1.png wood-2.png
        augmind sample runs/photos --label spoons -n 20 --where material=silver

    Parameters
    ----------
    folder
        The run folder.
    label
        The class.
    n
        How many rows.
    out_folder
        A new folder for the files (default: RUN/samples/LABEL-1, -2, ...).
    generator
        One generator only.
    like
        Files (of texts the texts themselves) that the rows shall be like: eight times as many are drawn, and the nearest in features are kept.
    unlike
        Files (or texts) that they shall not be like. With --like it steers along what the one have and the other lack: an attribute by examples.
    where
        COLUMN=VALUE, as a table that was given says of its rows: chosen as with --like and --unlike, by the rows that have it and those that do not.
    mix
        CLASS=PART of other classes, such as forks=0.3: rows between classes, kept where the screens still take them for the class.
        Directions (--along) are then those of the mixture.
    along
        NUMBER=DEVIATIONS, such as 1=2 or 2=-1.5: rows moved along a direction in which rows of the class vary (1: the most), by one
        generator, the one that augmind directions shows.
    """
    from augmind.api import Finished

    if n < 1:
        raise UsageError(f"-n {n} is not a number of rows", help="give a number of 1 or more")
    target = out_folder or next(p for i in range(1, 10**6) if not (p := folder / "samples" / f"{safe(label)}-{i}").exists())
    got = Finished(folder).sample(
        label, n, target, generator, like=like or (), unlike=unlike or (), where=wishes(where), mix=parts(mix), along=moves(along)
    )
    if got < n:
        err.print(f"only {got} of {n} rows passed the screens; asking again draws others")
    out.print(f"{got} rows in {target}", soft_wrap=True)


@app.command
def directions(
    folder: Path,
    *,
    label: str,
    generator: str | None = None,
    out_file: Annotated[Path | None, Parameter(name=["--out"])] = None,
) -> None:
    """Show how drawn rows of a class change along the directions of a generator: a page to choose --along of sample by.

    Examples:

        augmind directions runs/photos --label spoons
        augmind directions runs/photos --label spoons --generator gan --out spoons.html

    Parameters
    ----------
    folder
        The run folder.
    label
        The class.
    generator
        One with latents, such as vae, gan, flow or diffusion (default: of those the one that kept most of what it drew).
    out_file
        The HTML file to write (default: RUN/samples/LABEL-directions.html).
    """
    from augmind.api import Finished

    path = Finished(folder).directions(label, out_file or folder / "samples" / f"{safe(label)}-directions.html", generator)
    out.print(f"{path}", soft_wrap=True)


def wishes(given: list[str] | None) -> dict[str, str]:
    """Of "COLUMN=VALUE" the values by column; values may hold "=". Raises `UsageError` for what is none."""
    return pairs([wish.partition("=") for wish in given or ()], "--where", "COLUMN=VALUE, such as material=silver")


def parts(given: list[str] | None) -> dict[str, float]:
    """Of "CLASS=PART" the parts by class; names may hold "=". Raises `UsageError` for what is none."""
    return numbers(given, "--mix", "CLASS=PART, such as forks=0.3")


def moves(given: list[str] | None) -> dict[int, float]:
    """Of "NUMBER=DEVIATIONS" the deviations by number. Raises `UsageError` for what is none."""
    way, found = "NUMBER=DEVIATIONS, such as 1=2", dict[int, float]()
    for name, value in numbers(given, "--along", way).items():
        if not name.isdecimal() or int(name) in found:
            said = f"names direction {int(name)} twice" if name.isdecimal() else f"{name}={value:g} names no direction"
            raise UsageError(f"--along {said}", help=f"write {way}")
        found[int(name)] = value
    return found


def numbers(given: list[str] | None, flag: str, way: str) -> dict[str, float]:
    """Numbers by name, behind the last "=" of each. Raises `UsageError` for what is none."""
    found = dict[str, float]()
    for name, value in pairs([wish.rpartition("=") for wish in given or ()], flag, way).items():
        try:
            found[name] = float(value)
        except ValueError:
            found[name] = nan
        if not isfinite(found[name]):
            raise UsageError(f"{flag} {name}={value} is not a wish", help=f"write {way}")
    return found


def pairs(given: list[tuple[str, str, str]], flag: str, way: str) -> dict[str, str]:
    """What stands on either side of each "=". Raises `UsageError` where a side is missing, and where a name stands twice."""
    found: dict[str, str] = {}
    for wish in given:
        name, value = wish[0].strip(), wish[2].strip()
        if not name or not value:
            raise UsageError(f"{flag} {''.join(wish)} is not a wish", help=f"write {way}")
        if name in found:
            raise UsageError(f"{flag} names '{name}' twice", help="ask for one, and again for the other")
        found[name] = value
    return found


def safe(label: str) -> str:
    from augmind.data.export import folder_names

    return folder_names((label,))[label]


@app.command
def export(
    folder: Path,
    *,
    to: str = "imagefolder",
    out_folder: Annotated[Path | None, Parameter(name=["--out"])] = None,
    rows: str = "all",
    originals: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Write the enlarged dataset with the provenance of every row and a card that tells how it was made.

    Examples:

        augmind export runs/photos --to imagefolder --out photos-bigger
        augmind export runs/photos --to parquet --rows synthetic --out only-synthetic
        augmind export runs/clips --to flac --originals --out clips-bigger

    Parameters
    ----------
    folder
        The run folder.
    to
        imagefolder, parquet, webdataset or npz; for texts also csv or jsonl; for sounds also audiofolder (WAV files) or flac.
    out_folder
        A new folder (default: RUN/export-FORMAT).
    rows
        all, real or synthetic.
    originals
        Real rows as the very files that were given, of any size, rate, length and format (--to is about the others), instead of as the models
        saw them.
    """
    from augmind.api import Finished

    finished = Finished(folder)
    verdict = finished.verdict
    path = finished.export(out_folder or folder / f"export-{to}", to, rows, originals=originals)
    if rows != "real" and not verdict["use_synthetic"]:
        made = verdict.get("notes", {}).get("made", "synthetic")
        marked = "The synthetic rows are marked" if made == "synthetic" else "Rows that got a label say by what (generator)"
        err.print(f"note: {verdict['sentence']} {marked}; policy.json holds the recommended policy.")
    out.print(f"{path}", soft_wrap=True)
