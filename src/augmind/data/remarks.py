"""What a person should know about how a dataset was read: coded findings AM101 to AM109, AM118, AM119, AM126 to AM129 and AM135."""

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from augmind.core.run import Finding
from augmind.core.types import Spec
from augmind.modalities.text.words import plain

from .dataset import Row
from .sounds import heard
from .sources import Found

DARK = 65535 // 4
"""A set of 16-bit pictures whose brightest value is below this was probably scaled to fewer bits."""
MIXED = 0.03
"""Share of the rows from which a second language is worth a finding."""
NO_LABEL = frozenset({"na", "n/a", "n.a.", "#n/a", "none", "null", "nil", "nan", "-", "?"})
"""What tables hold in place of a missing value, in lower case."""


def remarks(found: Found, rows: list[Row], spec: Spec, asked: bool) -> list[Finding]:
    """The findings of loading; `asked` says that the user chose the size."""
    good = [r for r in rows if r.status == "ok"]
    out = [Finding("AM101", "info", f"read as {found.how}; {len(good)} rows, {len(spec.classes)} classes", {"rows": len(good)})]
    out += _set_aside(rows)
    for side in spec.sides or (spec,):
        out += heard(good, side) if side.rate else [*_sizes(good, side, asked), *_converted(good), *_dark(good)]
    out += _labels(rows, good)
    return out + [Finding("AM109", "warning", note) for note in found.notes]


def _set_aside(rows: list[Row]) -> list[Finding]:
    words = {
        "corrupt": ("AM102", "warning", ("row", "could not be read"), ("rows", "could not be read")),
        "unlabelled": ("AM103", "warning", ("row", "has no label and was set aside"), ("rows", "have no label and were set aside")),
        "stray": ("AM104", "info", ("file", "is no row and was set aside"), ("files", "are no rows and were set aside")),
    }
    out = []
    for status, (code, level, one, many) in words.items():
        some = [r for r in rows if r.status == status]
        if some:
            first = "; ".join(f"{r.source} ({r.reason})" for r in some[:3])
            thing, text = many if len(some) > 1 else one
            out.append(Finding(code, level, f"{len(some)} {thing} {text}: {first}{'; ...' if len(some) > 3 else ''}", {"rows": len(some)}))
    return out


def _sizes(good: list[Row], spec: Spec, asked: bool) -> list[Finding]:
    if len(spec.shape) != 3:
        return []
    _, height, width = spec.shape
    sizes = [(r.about["width"], r.about["height"]) for r in good]
    if set(sizes) == {(width, height)}:
        return []
    w, h = (int(median(s)) for s in zip(*sizes, strict=True))
    was = f"{w} x {h}" if len(set(sizes)) == 1 else f"{len(set(sizes))} sizes (median {w} x {h})"
    stretched = sum(not 0.8 < (a / b) / (width / height) < 1.25 for a, b in sizes)
    text = f"pictures were {'shrunk' if w * h > width * height else 'resized'} from {was} to {width} x {height}"
    text += f"; {stretched} of them changed their proportions visibly" if stretched else ""
    text += "" if asked else "; --size asks for another size"
    return [Finding("AM105", "info", text, {"from": [w, h], "to": [width, height], "stretched": stretched})]


def _converted(good: list[Row]) -> list[Finding]:
    if not all("mode" in r.about for r in good):
        return _cleaned(good)
    kinds = {
        "CMYK to RGB": sum(r.about["mode"] == "CMYK" for r in good),
        "more than 8 bits to 8 bits": sum("deep" in r.about for r in good),
        "palette to colours": sum(r.about["mode"] in ("P", "PA") for r in good),
        "two tones to grey": sum(r.about["mode"] == "1" for r in good),
        "animation to its first frame": sum("animated" in r.about for r in good),
        "turned upright as EXIF says": sum("turned" in r.about for r in good),
    }
    some = {k: n for k, n in kinds.items() if n}
    if not some:
        return []
    return [Finding("AM106", "info", "pictures were converted: " + ", ".join(f"{n} {k}" for k, n in some.items()), some)]


def _cleaned(good: list[Row]) -> list[Finding]:
    """What was taken out of texts, what of them is no plain text or looks personal; several scripts or languages in one dataset."""
    out = []
    if some := [r for r in good if "controls" in r.about]:
        text = f"control characters in {len(some)} row{'s' * (len(some) > 1)} became spaces: {', '.join(r.source for r in some[:3])}"
        out.append(Finding("AM106", "info", text, {"rows": [r.id for r in some]}))
    if some := [r for r in good if "markup" in r.about]:
        text = f"{len(some)} row{'s hold' if len(some) > 1 else ' holds'} markup such as HTML tags, which stays as it is: {some[0].source}"
        out.append(Finding("AM119", "info", text, {"rows": [r.id for r in some]}))
    if some := [r for r in good if r.about.get("words") == 0]:
        text = f"{len(some)} row{'s hold' if len(some) > 1 else ' holds'} no word, so there is nothing to learn from: {some[0].source}"
        out.append(Finding("AM127", "warning", text, {"rows": [r.id for r in some]}))
    out += delicate([(r.id, r.source, r.label, r.about) for r in good])
    scripts = Counter(str(r.about.get("script")) for r in good)
    if len([s for s, n in scripts.items() if n > max(2, len(good) // 20)]) > 1:
        text = "texts in several scripts: " + ", ".join(f"{s} {n}" for s, n in scripts.most_common(5))
        out.append(Finding("AM126", "info", text, dict(scripts)))
    return out + _languages(good)


def delicate(rows: Sequence[tuple[int, str, str, Mapping[str, Any]]]) -> list[Finding]:
    """AM128 what looks personal, AM136 rude and sexual words, of rows (id, where it stands, its class or "", facts)."""
    out = []
    if some := [row for row in rows if "personal" in row[3]]:
        kinds = Counter(kind for *_, about in some for kind in about["personal"])
        told = ", ".join(f"{kind} in {n}" for kind, n in kinds.most_common())
        text = f"{len(some):,} row{'s hold' if len(some) > 1 else ' holds'} what looks personal ({told}), which a model may repeat: {some[0][1]}"
        out.append(Finding("AM128", "warning", text, {"rows": [row[0] for row in some], **kinds}))
    if some := [row for row in rows if "abusive" in row[3]]:
        said = Counter(word for *_, about in some for word in about["abusive"])
        label, most = Counter(row[2] for row in some).most_common(1)[0]
        where = f", most of them in '{label}' ({most})" if label else ""
        text = f"{len(some):,} row{'s hold' if len(some) > 1 else ' holds'} rude or sexual words, which a model may repeat{where}: {some[0][1]}"
        out.append(Finding("AM136", "info", text, {"rows": [row[0] for row in some], "words": dict(said)}))
    return out


def _languages(good: list[Row]) -> list[Finding]:
    """Several languages, each of 3 % and three rows at least of those whose language can be told."""
    told = [r for r in good if "language" in r.about]
    counts = Counter(r.about["language"] for r in told)
    several = [said for said, n in counts.most_common() if n >= max(3, MIXED * len(told))]
    if len(several) < 2:
        return []
    shares = ", ".join(f"{said} {counts[said]}" for said in several)
    text = f"texts in several languages: {shares} (of {len(good) - len(told)} rows it cannot be told)"
    first = next(r for r in told if r.about["language"] == several[1])
    about = {"languages": dict(counts), "rows": [r.id for r in told if r.about["language"] != several[0]]}
    return [Finding("AM129", "info", f"{text}; the first in '{several[1]}' is {first.source}", about)]


def shared_sides(good: list[Row], pairs: Sequence[Sequence[str]], parts: Sequence[str]) -> list[Finding]:
    """AM135: rows of pairs that have a whole side in common with others, where no group keeps these together."""
    if not parts or any(r.group for r in good):
        return []
    repeated = dict[str, list[int]]()
    for at, name in enumerate(parts):
        counts = Counter(sides[at] for sides in {tuple(map(plain, sides)) for sides in pairs})
        repeated[name] = [r.id for r, sides in zip(good, pairs, strict=True) if counts[plain(sides[at])] > 1]
    name = max(repeated, key=lambda name: len(repeated[name]))
    if len(rows := repeated[name]) < max(3, MIXED * len(good)):
        return []
    text = f"{len(rows):,} of {len(good):,} pairs have their '{name}' in common with another, so test rows may share it with training rows; "
    return [Finding("AM135", "warning", f"{text}--group {name} keeps them together", {"side": name, "rows": rows})]


def _dark(good: list[Row]) -> list[Finding]:
    deep = [r.about["deep"] for r in good if str(r.about.get("mode")).startswith("I") and "deep" in r.about]
    if not deep or not 255 < max(deep) < DARK:
        return []
    what = f"{len(deep)} 16-bit pictures" if len(deep) > 1 else "one 16-bit picture"
    text = f"the brightest value of {what} is {max(deep):g} of 65535: nearly black; scale to the full range"
    return [Finding("AM107", "warning", text, {"brightest": max(deep)})]


def _labels(rows: list[Row], good: list[Row]) -> list[Finding]:
    counts = Counter(r.label for r in good)
    out = []
    single = sorted(c for c, n in counts.items() if n == 1)
    if single:
        text = f"{len(single)} class{'es have' if len(single) > 1 else ' has'} one row only: {', '.join(single[:5])}"
        out.append(Finding("AM108", "warning", text, {"classes": single}))
    for c in sorted(c for c in counts if c.casefold() in NO_LABEL):
        rows_of = f"{counts[c]} rows have" if counts[c] > 1 else "one row has"
        text = f"{rows_of} the label '{c}', which was taken as a class; if it means that there is none, leave it empty"
        out.append(Finding("AM118", "warning", text, {"classes": [c], "rows": counts[c]}))
    lost = sorted({r.label for r in rows if r.label} - set(counts))
    out += [Finding("AM108", "warning", f"class '{c}' has no readable row and was left out", {"classes": [c]}) for c in lost]
    alike = Counter(" ".join(c.casefold().replace("_", " ").split()) for c in counts)
    for folded in sorted(c for c, n in alike.items() if n > 1):
        same = sorted(c for c in counts if " ".join(c.casefold().replace("_", " ").split()) == folded)
        out.append(Finding("AM108", "warning", f"classes {same} differ by case or spaces only; are they one class?", {"classes": same}))
    return out
