"""Rows that are sounds: which rate and length they are brought to, and what is to be said of them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from augmind.core.decoding import CannotRead
from augmind.core.errors import DataError, UsageError
from augmind.core.run import Finding
from augmind.core.types import Spec
from augmind.modalities.audio.distances import intelligibility, mel_distance, spectral_distance
from augmind.modalities.audio.mel import Mel
from augmind.modalities.audio.read import is_sound, needed
from augmind.modalities.audio.vocoder import installed
from augmind.modalities.audio.workers import Pool

from .dataset import Row
from .folders import kind
from .sources import Entry, Grid

FASTEST, SLOWEST = 16_000, 4000
"""Samples a second that sounds are brought to, at most and at least."""
MOST_SECONDS, LEAST_SECONDS = 4.0, 0.32
"""How long rows are, at most and at least."""
LONG = 0.9
"""Quantile of the lengths that decides how long rows are: longer sounds are cut to the part with the most power."""
COMMON = 0.1
"""Quantile of the rates that decides that of the rows, so that few slow files do not make all others dull."""
BANDS = {True: 64, False: 40}
"""Bands of sounds of more than 8,000 samples a second, and of others."""
STEP = 8
"""Columns come in multiples of this, so that networks can halve them."""
BLOCK = 64
"""Waves that become rows together."""
HEARD = 8
"""Rows of which it is measured how well waves keep them."""
CLIPPED = 0.001
"""Share of samples that are cut off from which it is worth a finding."""
ILLS = {
    "truncated": (0.0, "ends before its header says", "end before their headers say"),
    "clipped": (CLIPPED, "is cut off at full scale in places", "are cut off at full scale in places"),
}
"""What may be wrong with a file that is read all the same -> from where on it is told, of one and of many."""


@dataclass(frozen=True)
class Clip:
    """One sound as a stored row (1, bands, columns), and facts about its file."""

    facts: dict[str, Any]
    row: UInt8[Tensor, "c h w"]
    rate: int
    wave: Float[np.ndarray, " t"] | None = None
    """The wave that the row was made of, of `HEARD` rows."""


@dataclass(frozen=True)
class Pieces:
    """One sound as several rows, each with the second at which it begins after the silence at the file's start."""

    clips: tuple[Clip, ...]
    at: tuple[float, ...]


def spread(entries: Sequence[Entry], answers: Sequence[Any]) -> tuple[list[Entry], list[Any]]:
    """Entries and answers with every piece of a sound as an entry of its own."""
    out = list[tuple[Entry, Any]]()
    for entry, answer in zip(entries, answers, strict=True):
        if isinstance(answer, Pieces):
            own = [replace(entry, source=f"{entry.source}@{at:.2f}s", whole=entry.source) for at in answer.at]
            out += zip(own, answer.clips, strict=True)
        else:
            out.append((entry, answer))
    return [entry for entry, _ in out], [answer for _, answer in out]


def holds_sound(entries: Sequence[Entry]) -> bool:
    """Whether the rows are sounds: by all files that there are, or by the first bytes of the first one that a table holds.

    Raises `DataError` where some files are sounds and others pictures.
    """
    good = [e for e in entries if e.status == "ok"]
    if any(isinstance(e.content, Grid) for e in good):
        return True
    kinds = {kind(e.content): e.source for e in good if isinstance(e.content, Path)}
    if {"picture", "sound"} <= kinds.keys():
        text = f"some files of the dataset are pictures and others sounds: '{kinds['picture']}', '{kinds['sound']}'"
        raise DataError(text, help="keep them in folders of their own")
    if kinds:
        return "sound" in kinds
    held = (file for e in good if callable(e.content) and not isinstance(file := e.content(), CannotRead))
    first = next(held, b"")
    return kind(first) == "sound" if isinstance(first, Path) else is_sound(first[:16])


def layout(facts: Sequence[dict[str, Any]], chunk: float | None = None) -> Mel:
    """The rate and length that suit most of these files, or the length that is asked for."""
    rate = int(np.quantile([f["rate"] for f in facts], COMMON, method="lower"))
    rate = min(FASTEST, max(SLOWEST, rate))
    seconds = float(np.quantile([f["length"] for f in facts], LONG, method="higher"))
    seconds = chunk or min(MOST_SECONDS, max(LEAST_SECONDS, seconds))
    return Mel(rate=rate, bands=BANDS[rate > 8000], frames=-(-round(100 * seconds) // STEP) * STEP)


def clips(entries: Sequence[Entry], size: object = None, chunk: float | None = None, mel: Mel | None = None) -> list[Any]:
    """One answer an entry: a `Clip`, with `chunk` seconds `Pieces`, why it is none, or None where it is not to be decoded; in the layout `mel` where
    one is given.

    Raises `MachineError` where what reads sounds is not installed.
    """
    needed()
    if size is not None:
        raise UsageError("--size is about pictures, and these are sounds", help="leave it out: rate and length come from the files")
    if any(isinstance(e.content, Grid) for e in entries):
        first = next(e.content for e in entries if isinstance(e.content, Grid))
        form = (mel.rate, mel.bands, mel.frames) if mel else (first.rate, *first.x.shape)
        return [as_clip(e.content, chunk, form) if isinstance(e.content, Grid) else None for e in entries]
    wanted = [i for i, e in enumerate(entries) if e.status == "ok"]
    answers: list[Clip | Pieces | CannotRead | None] = [None] * len(entries)
    facts = dict[int, dict[str, Any]]()
    for i, found in zip(wanted, Pool().facts(files(entries, wanted)), strict=True):
        if isinstance(found, CannotRead):
            answers[i] = found
        else:
            facts[i] = found
    if not facts:
        return answers
    mel = mel or layout(list(facts.values()), chunk)
    told = [*facts]
    measured = {told[n * len(told) // HEARD] for n in range(HEARD)}
    if chunk:
        for (i, own), found in zip(facts.items(), Pool().pieces(files(entries, told), mel.rate, mel.samples), strict=True):
            answers[i] = found if isinstance(found, CannotRead) else cut(own, *found, mel, i in measured)
        return answers
    waves = zip(facts, Pool().waves(files(entries, told), mel.rate, mel.samples), strict=True)
    while block := list(islice(waves, BLOCK)):
        heard = [(i, wave) for i, wave in block if not isinstance(wave, CannotRead)]
        for i, wave in block:
            if isinstance(wave, CannotRead):  # the file changed in between, or its decoder died
                answers[i] = wave
        rows = mel.encode(torch.from_numpy(np.stack([wave for _, wave in heard]))) if heard else ()
        for (i, wave), row in zip(heard, rows, strict=True):
            answers[i] = Clip(facts[i], row.clone(), mel.rate, wave.copy() if i in measured else None)
    return answers


def as_clip(grid: Grid, chunk: float | None, form: tuple[int, ...]) -> Clip | CannotRead:
    """A row that is a spectrogram already, of the `form` (rate, bands, columns) of the others. Raises `UsageError` where it is to be cut."""
    if chunk is not None:
        raise UsageError(f"--chunk {chunk:g} cuts files, and these are rows already", help="leave it out")
    if grid.x.ndim != 2:
        return CannotRead(f"has shape {grid.x.shape}, and a row of a sound is (bands, columns)")
    if form != (grid.rate, *grid.x.shape):
        return CannotRead(f"has {grid.x.shape[0]} bands and {grid.x.shape[1]} columns at {grid.rate:,} samples a second, unlike the other rows")
    facts = {"rate": grid.rate, "length": grid.x.shape[1] / 100}
    return Clip(facts, torch.from_numpy(grid.x.copy())[None], grid.rate)


def told_of_pieces(good: Sequence[Row]) -> str:
    """How many rows files were cut to, and how many pieces were left out."""
    count = {r.whole: int(r.about["piece"].split(" of ")[1]) for r in good if "piece" in r.about}
    silent = sum(count.values()) - len(good)
    text = f"; {len(count):,} files were cut to {len(good):,} rows, those of one file on one side of every split" if count else ""
    return text + (f"; {silent:,} silent pieces are none" if count and silent else "")


def cut(facts: dict[str, Any], waves: Float[np.ndarray, "n samples"], at: list[int], mel: Mel, measured: bool = False) -> Pieces:
    """The rows of one file, of which these pieces are not silent; the first keeps its wave where that is `measured`."""
    rows = [row for block in torch.from_numpy(waves).split(BLOCK) for row in mel.encode(block)]
    told = [facts | {"piece": f"{n + 1} of {at[-1] + 1}"} for n in at]
    seconds = mel.samples / mel.rate
    kept = [waves[0].copy() if measured and not n else None for n in range(len(rows))]
    made = (Clip(own, row.clone(), mel.rate, wave) for own, row, wave in zip(told, rows, kept, strict=True))
    return Pieces(tuple(made), tuple(n * seconds for n in at))


def way_back(clips: Sequence[Clip]) -> list[Finding]:
    """AM141 how near the waves that are made of rows come to those that the rows were made of."""
    if not (some := [c for c in clips if c.wave is not None]):
        return []
    rows, true = torch.stack([c.row for c in some]), torch.from_numpy(np.stack([c.wave for c in some if c.wave is not None])).float()
    mel = Mel(rate=some[0].rate, bands=rows.shape[2], frames=rows.shape[3])
    vocoder = installed(mel)
    waves = (vocoder or mel).decode(rows).clamp(-1, 1)
    found = {"mel_db": float(mel_distance(mel, waves, true).mean()), "log_spectral_db": float(spectral_distance(mel, waves, true).mean())}
    stoi = intelligibility(waves, true, mel.rate)
    text = f"waves made of the rows of {len(some)} clips by {'HiFi-GAN' if vocoder else 'Griffin-Lim'} differ from the clips by "
    text += f"{found['mel_db']:.1f} dB in the bands and {found['log_spectral_db']:.1f} dB in the log spectrum"
    text += "" if stoi is None else f"; their intelligibility (STOI) is {stoi:.2f} of 1"
    return [Finding("AM141", "info", text, found | ({} if stoi is None else {"stoi": stoi}))]


def files(entries: Sequence[Entry], wanted: Sequence[int]) -> Iterator[Any]:
    """The files of these rows, read when their turn comes."""
    for i in wanted:
        content = entries[i].content
        yield content() if callable(content) else content


def heard(good: Sequence[Row], spec: Spec) -> list[Finding]:
    """AM105 what sounds were brought to, AM137 files that are cut off, end early or mix rates, AM140 where nothing says who is heard."""
    seconds = spec.shape[2] / 100
    lengths = [r.about["length"] for r in good]
    long = sum(n > seconds + 0.01 for n in lengths) if "piece" not in good[0].about else 0
    rates = Counter(r.about["rate"] for r in good)
    text = f"sounds were brought to {spec.rate:,} samples a second, one channel, one loudness and {seconds:.2f} seconds"
    text += f"; {long:,} longer one{'s were' if long > 1 else ' was'} cut to the part with the most power" if long else ""
    text += told_of_pieces(good)
    out = [Finding("AM105", "info", text, {"rate": spec.rate, "seconds": seconds, "cut": long})]
    if len(rates) > 1:
        told = ", ".join(f"{n:,} of {rate:,}" for rate, n in rates.most_common(4)) + (f", and {more} more" if (more := len(rates) - 4) > 0 else "")
        dull = sum(n for rate, n in rates.items() if rate < spec.rate)
        text = f"files of several rates: {told} samples a second"
        text += f"; {dull:,} have less than the rows, whose high tones they lack: a model may tell classes apart by that" if dull else ""
        out.append(Finding("AM137", "warning" if dull else "info", text, {str(k): v for k, v in rates.items()}))
    for key, (least, one, many) in ILLS.items():
        if some := [r for r in good if r.about.get(key, 0) > least]:
            text = f"{len(some):,} files {many}" if len(some) > 1 else f"one file {one}"
            out.append(Finding("AM137", "warning", f"{text}: {some[0].source}", {"rows": [r.id for r in some]}))
    if not any(r.group for r in good):
        text = (
            "nothing says which clips have a speaker or a recording in common, so each counts as independent of the others: where they have, results "
        )
        text += "hold for voices and places that were heard in training, and intervals are too narrow; --group names a column of a table that says it"
        text += ", or where the names of files do: --group '*_{}_*'"
        out.append(Finding("AM140", "warning", text, {}))
    return out
