"""The dataset card: what is in an export, how it was made, and no claim stronger than what was measured."""

import json
import re
from typing import Any

from augmind.core.types import Spec


def card(name: str, spec: Spec, counts: dict[str, dict[str, int]], record: dict[str, Any], to: str, originals: bool = False) -> str:
    """A README.md with the header that dataset hubs read."""
    verdict, rows = record["verdict"], sum(n for of in counts.values() for n in of.values())
    size = next(label for bound, label in ((1e3, "n<1K"), (1e4, "1K<n<10K"), (1e5, "10K<n<100K"), (1e18, "100K<n<1M")) if rows < bound)
    lines = ["---", "tags:", "- synthetic", "- augmind", "size_categories:", f"- {size}", "---", ""]
    lines += [
        f"# {plain(name)}, enlarged by augmind",
        "",
        "Rows that generative models drew are marked `synthetic`; real rows whose label a model gave name it in `generator`.",
        "",
    ]
    lines += [
        "## Verdict",
        "",
        plain(verdict["sentence"]),
        "",
        f"Recommended policy: `{json.dumps(verdict['policy'], ensure_ascii=False)}` (also in `policy.json`).",
        "",
    ]
    lines += ["## Rows", "", "| split | kind | rows |", "|---|---|---|"]
    lines += [f"| {split} | {kind} | {n} |" for split, of in counts.items() for kind, n in sorted(of.items())]
    lines += ["", f"Each row {shaped(spec)} and has one of {len(spec.classes)} classes:"]
    lines += ["", ", ".join(code(c) for c in spec.classes), "", "## Columns", ""]
    lines += [
        *[f"- {code(name)}: a side of the pair; another column of this name is called row_NAME" for name in spec.parts if not spec.sides],
        "- `label`: the class; `synthetic`: whether a generator drew the row; `generator` and `seed`: which one, from which seed or row",
        "- `source`: the file that a real row came from; `score_*`: what each screen gave a synthetic row, in 0 to 1, higher is better",
        "- `group`, where one was named: what the column says of a real row; of a synthetic row, the group of the nearest real row of its class",
        "",
        "## Recipe",
        "",
        f"- command: {code(record['reproduce'])}",
        f"- versions: {', '.join(f'{k} {v}' for k, v in record['versions'].items())}",
        f"- format: {to}; real rows are {'the files that were given' if originals else 'standardised as said above, originals are untouched'}",
    ]
    if spec.rate or any(side.rate for side in spec.sides):
        which = "" if originals else ", those of real rows too"
        lines.append(f"- sounds: made of spectrograms{which}; by HiFi-GAN where the comment of a file says so, else by Griffin-Lim")
    for g in record["generators"]:
        yielded = f"{g['kept']} of {g['drawn']} rows drawn for the comparison kept; settings {json.dumps(g['settings'])}"
        lines.append(f"- {g['name']}: {g['steps']} steps, knowledge: {g['knowledge']}, {yielded}")
    lines += ["", "## Limits", ""]
    lines.append("The screens look for copies of training rows and wrong labels; they do not make any promise of privacy.")
    return "\n".join(lines) + "\n"


def shaped(spec: Spec) -> str:
    """What one row is, in words."""
    if spec.sides:
        return "joins several kinds: " + ", ".join(f"the {part} {shaped(side)}" for part, side in zip(spec.parts, spec.sides, strict=True)) + ","
    if spec.parts:
        return f"is a pair of texts ({' and '.join(map(code, spec.parts))}) of up to {spec.shape[0]} bytes together"
    if spec.rate:
        return (
            f"is a log-mel spectrogram of {spec.shape[1]} bands and {spec.shape[2] / 100:.2f} seconds, of a sound of {spec.rate:,} samples a second"
        )
    return f"is a text of up to {spec.shape[0]} bytes" if spec.kind == "tokens" else f"has shape {spec.shape} (channels, height, width)"


def code(text: str) -> str:
    """User text as a Markdown code span, unchanged but for control characters."""
    text = "".join(c if c.isprintable() else " " for c in text)
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    return f"{fence} {text} {fence}" if longest else f"`{text}`"


def plain(text: str) -> str:
    """User text without anything that Markdown or HTML would act on."""
    return "".join(c if c.isprintable() else " " for c in text).replace("`", "'").replace("<", "‹").replace(">", "›").replace("|", "/")
