"""Rude and sexual words in a text, by the word lists of glin-profanity (24 languages)."""

import unicodedata
from functools import cache
from typing import Any, cast

from .words import script, words

LISTS = {
    "ar": "arabic", "cs": "czech", "da": "danish", "de": "german", "en": "english", "eo": "esperanto", "es": "spanish", "fa": "persian",
    "fi": "finnish", "fr": "french", "hi": "hindi", "hu": "hungarian", "it": "italian", "ja": "japanese", "ko": "korean", "nl": "dutch",
    "nb": "norwegian", "nn": "norwegian",
    "no": "norwegian", "pl": "polish", "pt": "portuguese", "ru": "russian", "sv": "swedish", "th": "thai", "tr": "turkish", "zh": "chinese",
}  # fmt: skip
"""ISO 639 code -> the list of that language."""
OF_SCRIPT = {"Latin": "en", "Han": "zh", "Japanese": "ja", "Korean": "ko", "Cyrillic": "ru", "Arabic": "ar", "Devanagari": "hi", "Thai": "th"}
"""The language whose list a text is held against where its own cannot be told."""
LONGEST, LEAST = 6, 3
"""Words of an entry, at most; characters of one in a script without spaces, at least, since shorter ones stand within harmless words."""
KANA = ("HIRAGANA", "KATAKANA")


def abusive(text: str, language: str | None) -> list[str]:
    """The entries of the list of a language that stand in the text, the longest where several begin or overlap, in order of place; nothing for
    languages without a list.

    `language` is an ISO 639 code or None. Entries stand there as whole words; in scripts without spaces those of `LEAST` characters or more, of
    kana as whole runs. Entries that need more than letters ("a$$") are not looked for, so what is written to hide is missed, as are other forms of
    a word; what is harmless where it stands ("sex" in a text on biology, "dick" in a name) is found.
    """
    text = unicodedata.normalize("NFKC", text).replace("\u00ad", "")
    known = entries(LISTS.get(language or OF_SCRIPT.get(script(text), ""), ""))
    if not known:
        return []
    said, found, at = [w.casefold() for w in words(text)], list[str](), 0
    while at < len(said):
        ends = (end for end in range(min(at + LONGEST, len(said)), at, -1) if tuple(said[at:end]) in known)
        if (end := next(ends, 0)) and not inside(said, at, end):
            found.append(known[tuple(said[at:end])])
            at = end
        else:
            at += 1
    return found


def inside(said: list[str], start: int, end: int) -> bool:
    """Whether these words are part of a longer run of kana of one kind, so of another word."""

    def kind(i: int) -> str:
        return unicodedata.name(said[i][0], "").split(" ")[0] if 0 <= i < len(said) else ""

    return any(kind(a) in KANA and kind(a) == kind(b) for a, b in ((start, start - 1), (end - 1, end)))


@cache
def entries(name: str) -> dict[tuple[str, ...], str]:
    """The entries of a list by their words; those of letters alone, and of two signs at least, `LEAST` of them where each is a word."""
    from glin_profanity.data.dictionary import dictionary

    listed = [entry.casefold() for entry in dictionary.get_words(cast(Any, name))]
    by_words = {tuple(words(entry)): entry for entry in listed if all(c.isalpha() or c == " " for c in entry)}
    least = {run: LEAST if all(len(w) == 1 for w in run) else 2 for run in by_words}
    return {run: entry for run, entry in by_words.items() if least[run] <= len(entry) and len(run) <= LONGEST}
