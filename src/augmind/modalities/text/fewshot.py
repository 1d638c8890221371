"""What language models are shown of the real rows, in which ways they are to write, and which of its prompts a row's seed stands for."""

import json
from collections.abc import Sequence

import torch

from augmind.core.errors import UsageError
from augmind.core.run import Run
from augmind.core.seeds import stream

from .sides import as_row, sides_of
from .words import spoken

WIDEST = 200
"""Characters of an attribute, at most."""
LONGEST = 1000
"""Characters of a row, or of a side of a pair, that an endpoint is shown."""
WORDINGS = (
    ("My neighbour grows tomatoes on her balcony.", "The woman next door raises tomatoes on her balcony."),
    ("The train was late again, so we missed the first act.", "Once more the train came late, and we did not see how the play began."),
    ("Nobody told us that the shop closes at noon.", "We were never told about the shop shutting at midday."),
)
"""Texts in two wordings, which show what a paraphrase is."""
Shown = str | dict[str, str]
"""A text, or the sides of a pair by their names, as a model behind an endpoint sees it."""
BAR = "|"
"""Stands between the sides of a pair on a line; in a text it becomes a stroke."""


def draws(rows: int, prompts: int, examples: int, c: int, run: Run) -> list[list[int]]:
    """For each of `prompts` lists of class c the places of its rows, `examples` or as many as there are, drawn anew."""
    return [torch.randperm(rows, generator=run.rng("prompt", c, i))[:examples].tolist() for i in range(prompts)]


def shown(seed: int, prompts: int) -> int:
    """The prompt that the row with this seed is written after."""
    return int(torch.randint(prompts, (), generator=stream(seed, "prompt")))


def checked(name: str, attributes: list[str]) -> None:
    """Raises `UsageError` unless these are lines of text that the prompts of plug-in `name` can say."""
    if isinstance(attributes, list) and all(isinstance(a, str) and a.strip() and a.isprintable() and len(a) <= WIDEST for a in attributes):
        return
    way = f"give a list of lines of at most {WIDEST} characters: --set {name}.attributes='{json.dumps(['shorter', 'as a tweet'])}'"
    raise UsageError(f"{name}: attributes={attributes!r} is not allowed", help=way)


def line_of(row: str, names: Sequence[str]) -> str:
    """A row on one line: "text", or "premise: text | hypothesis: text" of a pair with sides of these names."""
    if not names:
        return " ".join(row.split())
    return f" {BAR} ".join(f"{name} {one_line(side)}" for name, side in zip(marks(names), sides_of(row), strict=False))


def listed(rows: list[str], meaning: str, attribute: str = "", names: Sequence[str] = ()) -> str:
    """A numbered list of rows, a line each, that ends where the next is to be written, of a pair its first side; `names` are those of the sides."""
    told, what = spoken(meaning), "pairs of texts" if names else "texts"
    head = f"Different {what} of the kind: {told}" if any(c.isalpha() for c in told) else f"Different {what} of one kind"
    last = f"One more of this kind, {attribute}:\n" if attribute else ""
    begun = " ".join([f"{len(rows) + 1}.", *marks(names[:1])])
    return "\n".join([head, *(f"{i}. {line_of(row, names)}" for i, row in enumerate(rows, 1)), last + begun])


def reworded(row: str, attribute: str = "", names: Sequence[str] = (), shots: int = len(WORDINGS)) -> str:
    """A row after `shots` rows in two wordings, which ends where its own other wording is to be written. The second side of a pair among the shots
    is the text of the next one."""
    turns = [(WORDINGS[i:] + WORDINGS[:i])[: max(1, len(names))] for i in range(shots)]
    told = [[line_of(as_row([texts[k] for texts in turn]), names) for k in range(2)] for turn in turns]
    before = [f"Text: {a}\nAnother wording: {b}\n" for a, b in told]
    how = f", {attribute}" if attribute else ""
    begun = " ".join([f"Another wording{how}:", *marks(names[:1])])
    return "\n".join([*before, f"Text: {line_of(row, names)}", begun])


def as_json(row: str, names: Sequence[str]) -> Shown:
    """A row as an endpoint is shown it."""
    return {name: side[:LONGEST] for name, side in zip(names, sides_of(row), strict=False)} if names else row[:LONGEST]


def row_of(line: str, names: Sequence[str]) -> str:
    """Inverse of `line_of`. Anything but a pair in its form is one text, which is no pair."""
    sides, begins = [part.strip() for part in line.split(BAR)], marks(names)
    if not names or len(sides) != len(begins) or not all(s.startswith(b) and len(s) > len(b) for s, b in zip(sides, begins, strict=True)):
        return as_row([line])
    return as_row([side.removeprefix(mark).strip() for side, mark in zip(sides, begins, strict=True)])


def marks(names: Sequence[str]) -> list[str]:
    """What the sides of a pair begin with on a line."""
    return [f"{one_line(name)}:" for name in names]


def one_line(text: str) -> str:
    return " ".join(text.replace(BAR, "/").split())
