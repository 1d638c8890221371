"""Words: where they begin and end in any script, and what scripts a text is written in."""

import re
import unicodedata
from collections import Counter
from functools import cache

UNSPACED = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\U00020000-\U0003ffff"
"""Scripts written without spaces: kana, Han, Thai, Lao, Burmese, Khmer; each of their characters counts as a word."""
PICTURES = "\u2600-\u27bf\U0001f000-\U0001faff"
"""Emoji and other pictures; each counts as a word."""
MARKS = ("Mn", "Mc")
"""Unicode categories of vowel signs and accents, which belong to the character before them."""
JOINERS = "\u200c\u200d"
SCRIPTS = {
    "CJK": "Han", "HIRAGANA": "Japanese", "KATAKANA": "Japanese", "HANGUL": "Korean", "CYRILLIC": "Cyrillic", "ARABIC": "Arabic",
    "HEBREW": "Hebrew", "GREEK": "Greek", "DEVANAGARI": "Devanagari", "THAI": "Thai", "LATIN": "Latin",
}  # fmt: skip


@cache
def word() -> re.Pattern[str]:
    """A word; made when it is first asked for, since it has to look through Unicode for the marks."""
    marks = "".join(chr(c) for c in range(0x300, 0x10000) if unicodedata.category(chr(c)) in MARKS) + JOINERS
    letter = rf"[^\W{UNSPACED}{marks}][{marks}]*"
    return re.compile(rf"[{UNSPACED}{PICTURES}][{marks}]*|(?:{letter})+(?:['’-](?:{letter})+)*")


def words(text: str) -> list[str]:
    """The words of a text, in order: runs of letters and digits, or single pictures and characters of scripts without spaces."""
    return word().findall(text)


def pieces(text: str) -> tuple[list[str], list[str]]:
    """(words, gaps): gap i stands before word i, the last gap at the end, so `joined(*pieces(text)) == text`."""
    found, gaps, at = [], [], 0
    for match in word().finditer(text):
        gaps.append(text[at : match.start()])
        found.append(match.group())
        at = match.end()
    return found, [*gaps, text[at:]]


def joined(found: list[str], gaps: list[str]) -> str:
    """Inverse of `pieces`."""
    return "".join(gap + word for gap, word in zip(gaps, found, strict=False)) + gaps[-1]


def plain(text: str) -> str:
    """A text without regard to case and spaces."""
    return " ".join(text.casefold().split())


def spoken(name: str) -> str:
    """The name of a class as one says it."""
    return name.replace("_", " ").strip()


def script(text: str) -> str:
    """The script that most letters of a text belong to: "Latin", "Han", "Japanese", ...; "other" for one not listed, "none" without letters.

    Text with kana is Japanese, however much Han it holds.
    """
    found = Counter(SCRIPTS.get(unicodedata.name(c, "").split(" ")[0], "other") for c in text if c.isalpha())
    if not found:
        return "none"
    return "Japanese" if found["Japanese"] * 10 > found.total() else found.most_common(1)[0][0]
