"""Groups that the names of files tell: of clips called DIGIT_SPEAKER_TAKE.wav, who speaks."""

import re
from dataclasses import replace
from pathlib import Path

from augmind.core.errors import DataError, UsageError

from .sources import Entry, Found, Several

PLACE = "{}"
"""What stands for the group in a pattern of names."""


def is_pattern(group: str | None) -> bool:
    """Whether `--group` is a pattern of names rather than the name of a column."""
    return group is not None and PLACE in group


def grouped(found: Found, pattern: str) -> Found:
    """The rows with what stands in the place of {} in the names of their files as their groups; "*" stands for anything but "/".

    Names are matched from their end: "*_{}_*" is about that of the file alone, "{}/*/*" about the second folder above it. Raises `UsageError` for
    rows that are no files, `DataError` where a name does not fit.
    """
    if pattern.count(PLACE) > 1:
        raise UsageError(f"--group '{pattern}' has {pattern.count(PLACE)} places for the group", help="one {} stands for it, * for anything else")
    fits, named = expression(pattern), list[Entry]()
    for entry in found.entries:
        if entry.status != "ok":
            named.append(entry)
            continue
        name = name_of(entry)
        if name is None:
            text = f"--group '{pattern}' is a pattern of the names of files, and rows of '{entry.source}' are none"
            raise UsageError(text, help="name a column of a table that says it")
        if not (match := fits.fullmatch(name)):
            text = f"the name '{'/'.join(name.split('/')[-1 - pattern.count('/') :])}' does not fit --group '{pattern}'"
            raise DataError(text, help="{} stands for the group and * for anything else but /, such as '*_{}_*' for 0_jackson_12.wav")
        named.append(replace(entry, group=match[1]))
    return replace(found, entries=named, how=f"{found.how}, group from the names of files by '{pattern}'")


def expression(pattern: str) -> re.Pattern[str]:
    """The pattern as a regular expression for a whole path."""
    parts = {"*": "[^/]*?", PLACE: "([^/]+?)"}
    return re.compile("(?:.*/)?" + "".join(parts.get(part, re.escape(part)) for part in re.split(r"(\*|\{\})", pattern)))


def name_of(entry: Entry) -> str | None:
    """The path of a row's file, of the first of several; None for what is no file."""
    content = entry.content.contents[0] if isinstance(entry.content, Several) else entry.content
    if isinstance(content, Path):
        return content.as_posix()
    return None
