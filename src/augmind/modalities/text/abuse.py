"""Rude and sexual words in a text, by the word lists of glin-profanity (24 languages)."""

from functools import cache
from typing import Any, cast

from .words import words

LISTS = {
    "ar": "arabic", "cs": "czech", "da": "danish", "de": "german", "en": "english", "eo": "esperanto", "es": "spanish", "fa": "persian",
    "fi": "finnish", "fr": "french", "hi": "hindi", "hu": "hungarian", "it": "italian", "ja": "japanese", "ko": "korean", "nl": "dutch",
    "nb": "norwegian", "nn": "norwegian",
    "no": "norwegian", "pl": "polish", "pt": "portuguese", "ru": "russian", "sv": "swedish", "th": "thai", "tr": "turkish", "zh": "chinese",
}  # fmt: skip
"""ISO 639 code -> the list of that language."""
OF_SCRIPT = {"Latin": "en", "Han": "zh", "Japanese": "ja", "Korean": "ko", "Cyrillic": "ru", "Arabic": "ar", "Devanagari": "hi", "Thai": "th"}
"""The language whose list a text is held against where its own cannot be told."""
LONGEST = 6
"""Words of an entry, at most."""


def abusive(text: str, language: str | None, script: str) -> list[str]:
    """The entries of the list of a language that stand in the text as whole words, in order of place; nothing for languages without a list.

    `language` is an ISO 639 code or None, `script` as of `words.script`. Entries that need more than letters ("a$$") are not looked for, so
    what is written to hide is missed; what is harmless where it stands ("sex" in a text on biology) is found.
    """
    known = entries(LISTS.get(language or OF_SCRIPT.get(script, ""), ""))
    said = [w.casefold() for w in words(text)]
    runs = (tuple(said[i : i + n]) for i in range(len(said)) for n in range(1, min(LONGEST, len(said) - i) + 1))
    return [known[run] for run in runs if run in known] if known else []


@cache
def entries(name: str) -> dict[tuple[str, ...], str]:
    """The entries of a list by their words; those of letters alone, and of two signs at least."""
    from glin_profanity.data.dictionary import dictionary

    listed = [entry.casefold() for entry in dictionary.get_words(cast(Any, name))]
    by_words = {tuple(words(entry)): entry for entry in listed if len(entry) > 1 and all(c.isalpha() or c == " " for c in entry)}
    return {run: entry for run, entry in by_words.items() if len(run) <= LONGEST}
