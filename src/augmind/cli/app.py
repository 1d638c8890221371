"""The program that verbs are added to, and the two consoles: results on standard output, everything else on standard error."""

import sys

from cyclopts import App
from rich.console import Console

from augmind import __version__

app = App(
    name="augmind",
    suppress_keyboard_interrupt=False,
    version=__version__,
    help="""Learn generators from a small labelled dataset, screen what they draw, and prove whether it helps.

    Start here:

        augmind demo                                    # the whole job on a bundled dataset
        augmind inspect photos/                         # what is in my data, and what is wrong with it
        augmind expand photos/ --out runs/photos --preset quick
        augmind export runs/photos --to imagefolder --out photos-bigger

    A folder with one subfolder per class, a table, an archive, .npz or a Hugging Face dataset will do.
    """,
)
WIDTH = None if sys.stdout.isatty() else 100
out = Console(highlight=False, markup=False, emoji=False, width=WIDTH)
err = Console(stderr=True, highlight=False, markup=False, emoji=False)
