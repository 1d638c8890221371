"""Texts without labels that go with a labelled dataset of texts."""

from dataclasses import dataclass
from pathlib import Path

from augmind.core.errors import DataError
from augmind.modalities.text.read import NoText, read

from .dataset import Dataset
from .fresh import Fresh
from .listing import numbered, text_column
from .minhash import alike
from .sources import printable


@dataclass(frozen=True, kw_only=True)
class Loose:
    """Texts, where each stands ("more.csv:17"), and how many were left out for which reason."""

    texts: tuple[str, ...]
    sources: tuple[str, ...]
    left_out: Fresh


def loose_texts(source: str | Path, dataset: Dataset, column: str | None) -> Loose:
    """The texts of a file of one a line, or of a table (`column`, or the one that is called as such columns are), that fit into a row of `dataset`.

    Left out are cells that cannot be read, texts that are longer than any of the dataset, copies of each other, and texts that have the words of a
    labelled one, or nearly. Raises `DataError` for a source that is neither, or of which nothing is left.
    """
    path = Path(source).expanduser()
    if not path.is_file():
        raise DataError(f"--unlabelled '{printable(str(source))}' is no file of texts", help="give a text file of one text a line, or a table")
    cells = numbered(path, lambda table: text_column(table, column))
    found, unreadable, long, room = dict[str, str](), 0, 0, dataset.spec.shape[0]
    for number, cell in cells:
        try:
            text = read(cell).text
        except NoText:
            unreadable += 1
            continue
        if len(text.encode()) > room:
            long += 1
        else:
            found.setdefault(text, f"{printable(path.name)}:{number}")
    known = dataset.codec.decode(dataset.samples.x)
    texts, n = list(found), len(known)
    near = {j - n for i, j, _ in alike([*known, *texts]) if i < n <= j}
    at = [i for i in range(len(texts)) if i not in near]
    if not at:
        raise DataError(f"every text of --unlabelled '{printable(path.name)}' is in the dataset too, or too long", help="give texts without labels")
    copies = len(cells) - unreadable - long - len(texts)
    told = {"unreadable": unreadable, "copies": copies, "near": len(near), "long": long}
    return Loose(
        texts=tuple(texts[i] for i in at),
        sources=tuple(found[texts[i]] for i in at),
        left_out=Fresh(at=tuple(at), told=told),
    )
