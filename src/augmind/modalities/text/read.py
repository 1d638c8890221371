"""One cell of a table, or two of a pair, as a row of text, or why it is none."""

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .abuse import abusive
from .personal import personal
from .sides import as_row
from .tongue import language_of
from .words import script, words

MOST = 8192
"""Bytes of UTF-8 up to which a cell is taken."""
STEP = 16
"""Rows are stored in a multiple of so many bytes."""
MARKUP = re.compile(r"</?[a-zA-Z][^<>]{0,200}>|&(?:[a-z]{2,8}|#\d{1,6});")


class NoText(Exception):
    """Why a cell holds no usable text."""


@dataclass(frozen=True, kw_only=True)
class Text:
    """A row in NFC form without control characters, and facts about it."""

    text: str
    facts: dict[str, Any]


def read(value: Any) -> Text:
    """A cell as a row of text. Raises `NoText` for an empty one, one that is too long, and one that holds no text at all.

    Numbers are read as they are written. Control characters become spaces (line ends stay), outer spaces go; everything else stays as it was written.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        raise NoText("it is empty")
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise NoText(f"it holds {type(value).__name__}, not text; another column is named with --text")
    text, removed = clean(value)
    if not text:
        raise NoText("it is empty")
    size = len(text.encode())
    if size > MOST:
        raise NoText(f"it has {size:,} bytes; at most {MOST:,} are read")
    facts: dict[str, Any] = {"words": len(words(text)), "characters": len(text), "script": script(text)}
    facts |= {"controls": removed} if removed else {}
    if said := language_of(text):
        facts["language"] = said
    if marks := len(MARKUP.findall(text)):
        facts["markup"] = marks
    if found := personal(text):
        facts["personal"] = sorted({kind for kind, _ in found})
    if rude := abusive(text, said):
        facts["abusive"] = sorted(set(rude))
    return Text(text=text, facts=facts)


def read_pair(values: Sequence[Any], names: Sequence[str]) -> Text:
    """The cells of a pair as one row, each read on its own. Raises `NoText` with the name of the side that is none."""
    found = list[Text]()
    for value, name in zip(values, names, strict=True):
        try:
            found.append(read(value))
        except NoText as why:
            raise NoText(f"{name}: {why}") from why
    facts: dict[str, Any] = {key: sum(t.facts[key] for t in found) for key in ("words", "characters")}
    facts["script"] = " and ".join(dict.fromkeys(t.facts["script"] for t in found))
    if len(said := [t.facts["language"] for t in found if "language" in t.facts]) == len(found):
        facts["language"] = " and ".join(dict.fromkeys(said))
    facts |= {key: n for key in ("controls", "markup") if (n := sum(t.facts.get(key, 0) for t in found))}
    for key in ("personal", "abusive"):
        if both := sorted({kind for t in found for kind in t.facts.get(key, ())}):
            facts[key] = both
    return Text(text=as_row([t.text for t in found]), facts=facts)


def clean(value: str) -> tuple[str, int]:
    """NFC text without control characters and outer spaces, and how many of these characters there were."""
    text = unicodedata.normalize("NFC", value.encode("utf-8", "replace").decode())
    out, removed = [], 0
    for c in text:
        bad = unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t"
        removed += bad
        out.append(" " if bad else c)
    return "".join(out).strip(), removed


def length_for(texts: list[str]) -> int:
    """Bytes in which every one of these rows can be stored."""
    return -(-max(len(t.encode()) for t in texts) // STEP) * STEP
