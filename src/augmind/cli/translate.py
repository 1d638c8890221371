"""The verb that turns rows into others: translate."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from augmind.core.errors import UsageError

from .app import app, err, out
from .options import AsJson

if TYPE_CHECKING:
    from augmind.core.run import Run

TASKS = "super-resolution, colourise, denoise, inpaint, edges"


@app.command
def translate(
    data: str,
    *,
    task: str | None = None,
    by: Path | None = None,
    out_folder: Annotated[Path | None, Parameter(name=["--out"])] = None,
    steps: int = 2000,
    width: int = 24,
    adversarial: float = 0.01,
    test: float = 0.2,
    size: int | None = None,
    seed: int = 0,
    as_json: AsJson = False,
) -> None:
    """Learn to undo a degradation, or to turn the pictures or sounds of one folder into those of another (pix2pix), and translate.

    The files need no labels. A fifth of them is held out: PSNR, SSIM and the distance of features are told on these, beside the rows as
    they are given and, for super-resolution, bicubic interpolation. The same command goes on after an interruption.

    Examples:

        augmind translate photos/ --task super-resolution --out sharper
        augmind translate photos/ --task colourise --out colours --steps 5000
        augmind translate clips/ --task denoise --out clearer
        augmind translate masks/ --task photos/ --out masks-to-photos
        augmind translate blurred/ --by sharper --out blurred-sharper

    Parameters
    ----------
    data
        A folder or archive of pictures or sounds, in any subfolders.
    task
        super-resolution, colourise, denoise, inpaint, edges; or a folder with files of the same names as in DATA, which are what to turn into.
    by
        A finished translator: translate DATA by it, and learn nothing.
    out_folder
        A new folder for the translator, its figures, a sheet to look at and the held-out rows (default: DATA-TASK), or for what is translated.
    steps
        Updates of the network (50 to 1,000,000).
    width
        Channels of its finest grid (8 to 128).
    adversarial
        Weight of the critic of patches beside the mean absolute error (0 to 0.1; 0: none, and the highest PSNR).
    test
        Part of the rows that is held out (0.05 to 0.5).
    size
        Side of the rows (default: as in `augmind expand`).
    seed
        Of everything random.
    as_json
        Print JSON.
    """
    if (task is None) is (by is None):
        raise UsageError("say what to do with --task, or give a finished translator with --by", help=f"--task is one of {TASKS}, or a folder")
    if by is not None:
        from augmind.translation import apply

        folder = out_folder or Path(f"{Path(data).name}-translated")
        n = apply(by, data, folder)
        out.print(f"{n} rows in {folder}", soft_wrap=True)
        return
    for name, value, low, high in (
        ("steps", steps, 50, 1_000_000),
        ("width", width, 8, 128),
        ("adversarial", adversarial, 0, 0.1),
        ("test", test, 0.05, 0.5),
    ):
        if not low <= value <= high:
            raise UsageError(f"--{name} {value:g} is not allowed", help=f"it is {low:g} to {high:g}")
    from augmind.translation import Request
    from augmind.translation import translate as learnt

    asked = Request(data=data, task=str(task), steps=steps, width=width, adversarial=adversarial, test=test, size=size, seed=seed)
    folder = out_folder or Path(f"{Path(data).name.split('.')[0]}-{Path(str(task)).name}")
    with Shown() as shown:
        found = learnt(asked, folder, shown.run)
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
        return
    out.print(table(found))
    out.print(found["sentence"])
    out.print(f"sheet      {folder / 'sheet.png'}\nheld out   {folder / 'held-out'}", soft_wrap=True)
    err.print(f"next       augmind translate FOLDER --by {folder}", soft_wrap=True)


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
    """A bar with the time left while a translator learns; lines now and then where nobody looks."""

    bar: Any = None
    tasks: dict[str, Any] = field(default_factory=dict)

    def __enter__(self) -> "Shown":
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("learning"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}"), TimeRemainingColumn())
        self.bar = Progress(*columns, console=err, transient=True)
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def run(self, folder: Path) -> "Run":
        from augmind.translation import Told

        return Told(folder=folder, label="translate", checkpoints=folder / "checkpoint", tell=self.tell)

    def tell(self, done: int, total: int, **fields: Any) -> None:
        note = f"mean absolute error {fields['error']:.3f}" if "error" in fields else ""
        if not self.tasks:
            self.tasks["learning"] = self.bar.add_task("learning", total=total, note=note)
        self.bar.update(self.tasks["learning"], completed=done, note=note)
