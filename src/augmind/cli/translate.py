"""The verb that turns rows into others: translate."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from augmind.core.errors import UsageError

from .app import app, err, out
from .options import AsJson

if TYPE_CHECKING:
    from augmind.core.run import Run

TASKS = "super-resolution, colourise, denoise, inpaint, edges, style"


@app.command
def translate(
    data: str,
    *,
    task: str | None = None,
    by: Path | None = None,
    out_folder: Annotated[Path | None, Parameter(name=["--out"])] = None,
    steps: int | None = None,
    width: int | None = None,
    adversarial: float | None = None,
    test: float | None = None,
    size: int | None = None,
    group: str | None = None,
    seed: int | None = None,
    as_json: AsJson = False,
) -> None:
    """Learn to undo a degradation, or to turn the pictures or sounds of one folder into those of another (pix2pix), and translate.

    The files need no labels. A fifth of them is held out: PSNR, SSIM and the distance of features are told on these, beside the rows as
    they are given and, for super-resolution, bicubic interpolation. The same command goes on after an interruption.

    Examples:

        augmind translate photos/ --task super-resolution --out sharper
        augmind translate photos/ --task colourise --out colours --steps 5000
        augmind translate clips/ --task denoise --group '*_{}_*' --out clearer
        augmind translate paintings/ --task style --out painted
        augmind translate masks/ --task photos/ --out masks-to-photos
        augmind translate blurred/ --by sharper --out blurred-sharper

    Parameters
    ----------
    data
        A folder or archive of pictures or sounds, in any subfolders.
    task
        super-resolution, colourise, denoise, inpaint, edges, style (any look to that of DATA, for others by --by); or a folder with files of the
        same names as in DATA, which are what to turn into.
    by
        A finished translator: translate DATA by it, and learn nothing.
    out_folder
        A new folder for the translator, its figures, a sheet to look at and the held-out rows (default: DATA-TASK), or for what is translated.
    steps
        Updates of the network (50 to 1,000,000; default 2,000).
    width
        Channels of its finest grid (8 to 128; default 24).
    adversarial
        Weight of the critic of patches beside the mean absolute error (0 to 0.1; 0: none, and the highest PSNR; default 0.01).
    test
        Part of the rows that is held out (0.05 to 0.5; default 0.2).
    size
        Side of the rows (default: as in `augmind expand`).
    group
        A pattern of the names of files, such as `'*_{}_*'` for 7_jackson_12.wav: files with the same in the place of {} are all held out or none, so
        that the figures are about others than those that were learnt from. There have to be three groups or more.
    seed
        Of everything random (default 0).
    as_json
        Print JSON.
    """
    if task is not None and by is not None:
        raise UsageError("--task learns a translator and --by takes a finished one", help="give one of them")
    if task is None and by is None:
        raise UsageError("say what to do with --task, or give a finished translator with --by", help=f"--task is one of {TASKS}, or a folder")
    learning = {"steps": steps, "width": width, "adversarial": adversarial, "test": test, "size": size, "group": group, "seed": seed}
    given = {name: value for name, value in learning.items() if value is not None}
    if by is not None and given:
        raise UsageError(f"--{next(iter(given))} is about learning, and --by learns nothing", help="leave it out, or learn with --task")
    name = Path(data).resolve().name.split(".")[0] or "data"
    if by is not None:
        from augmind.translation import apply

        folder = out_folder or Path(f"{name}-translated")
        done = apply(by, data, folder)
        print(json.dumps(done | {"folder": str(folder)})) if as_json else out.print(f"{done['rows']} rows in {folder}", soft_wrap=True)
        tell_left_out(done["left_out"])
        return
    from augmind import api

    folder = out_folder or Path(f"{name}-{Path(str(task)).name}")
    with Shown() as shown:
        found = api.translate(data, str(task), folder, run=shown.run, **given)
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
        return
    out.print(table(found))
    out.print(found["sentence"])
    tell_left_out(found["left_out"])
    out.print(f"sheet      {folder / 'sheet.png'}\nheld out   {folder / 'held-out'}", soft_wrap=True)
    err.print(f"next       augmind translate FOLDER --by {folder}", soft_wrap=True)


def tell_left_out(files: list[str]) -> None:
    """Files that could not be read, the first few with the reason."""
    for line in files[:3]:
        err.print(f"left out   {line}", soft_wrap=True)
    if len(files) > 3:
        err.print(f"left out   {len(files) - 3} more")


def table(found: dict[str, Any]) -> Any:
    """Figures by arm, with intervals."""
    from rich.table import Table

    names = {"psnr": "PSNR, dB", "ssim": "SSIM", "features": "distance of features"}
    figures = [f for f in names if f in next(iter(found["arms"].values()))]
    made = Table("arm", *(names[f] for f in figures), box=None, title=f"{found['rows']} held-out rows, {found['learnt']} learnt from")
    for arm, told in found["arms"].items():
        cells = [(told[f]["mean"], told[f]["low"], told[f]["high"], 1 if f == "psnr" else 3) for f in figures]
        made.add_row(arm, *(f"{mean:.{n}f} ({low:.{n}f}..{high:.{n}f})" for mean, low, high, n in cells))
    return made


@dataclass
class Shown:
    """A bar with the time left while a translator learns; a line now and then where the output is not a terminal."""

    bar: Any = None
    task: Any = None
    begun: float = 0.0
    said: float = 0.0

    def __enter__(self) -> "Shown":
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("learning"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}"), TimeRemainingColumn())
        self.bar = Progress(*columns, console=err, transient=True, disable=not err.is_terminal)
        self.bar.start()
        self.begun = self.said = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def run(self, folder: Path) -> "Run":
        from augmind.translation import Told

        return Told(folder=folder, label="translate", checkpoints=folder / "checkpoint", tell=self.tell)

    def tell(self, done: int, total: int, **fields: float) -> None:
        from augmind.progress import QUIET_SECONDS, clock

        now, note = time.monotonic(), f"mean absolute error {fields['error']:.3f}"
        if self.task is None:
            self.task = self.bar.add_task("learning", total=total, note=note)
        self.bar.update(self.task, completed=done, note=note)
        if not err.is_terminal and now - self.said > QUIET_SECONDS:
            left = (total - done) * (now - self.begun) / done
            err.print(f"{done:,} of {total:,} steps, {note}; about {clock(left)} left", style="dim", markup=False)
            self.said = now
