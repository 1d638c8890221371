"""One sound file as a wave of one rate, length and loudness, or why it is none."""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from augmind.core.errors import MachineError, first_line

ENDINGS = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au")
"""Files that are taken for sounds."""
MAGIC = (b"fLaC", b"OggS", b"ID3", b"FORM", b".snd", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2")
"""First bytes of sounds, beside those of WAV files."""
MOST_SECONDS, MOST_CHANNELS, RATES = 600, 32, (1000, 384_000)
"""What is read of a file at most, and the rates that a header may name."""
KEPT = 48_000
"""Samples a second of a wave that is held in memory, at most: what is higher than 24 kHz goes while it is read."""
BLOCK = 65_536
"""Frames that are decoded at once."""
QUIET = 60.0
"""Decibels below its loudest part at which a sound begins and ends."""
LOUDNESS = -20.0
"""Root mean square that a sound is brought to, in decibels of full scale, unless its peaks would be cut."""
LOUDEST = 16.0
"""Peak above which a file is damaged: 24 dB over full scale."""
SILENCE = 1e-4
"""Peak below which a sound is silent: 80 dB under full scale."""
CLIPPED, CLIPS = 0.999, 3
"""Samples this loud, so many in a row, are cut off."""
SIZES, UNKNOWN = re.compile(r"(?:data|SSND) *: (\d+) \(should be (\d+)\)"), 2**31 - 2**16
"""What libsndfile says of the chunk that holds the samples, and sizes that stand for none."""
FRAME = 0.02
"""Seconds over which loudness is measured when a sound is trimmed."""


class NoSound(Exception):
    """Why a file holds no usable sound."""


SHORTEST = 0.01
"""Seconds, a column of a row: less shows nothing."""


@dataclass(frozen=True, kw_only=True)
class Sound:
    """One channel, -1 to 1, trimmed, at the file's rate or at `KEPT`, and facts about the file: seconds, rate, channels, format, peak, clipped."""

    wave: Float[np.ndarray, " t"]
    rate: int
    facts: dict[str, Any]


def is_sound(head: bytes) -> bool:
    """Whether a file that starts with these bytes claims to be a sound of a known format."""
    return head.startswith(MAGIC) or (head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE")


def needed() -> None:
    """Raises `MachineError` where what reads sounds is not installed."""
    try:
        import soundfile
        import soxr
    except ImportError as error:
        text = f"sounds need the package '{error.name}', which is not installed"
        raise MachineError(text, help='pip install "augmind[audio]"', code="ENV-004") from error
    del soundfile, soxr


def read(content: bytes | Path) -> Sound:
    """A file of any format that libsndfile knows. Channels are averaged; silence at both ends goes. Raises `NoSound`."""
    import soundfile

    try:
        if not (len(content) if isinstance(content, bytes) else content.stat().st_size):
            raise NoSound("it is empty: its length is 0 bytes")
        with soundfile.SoundFile(io.BytesIO(content) if isinstance(content, bytes) else content) as file:
            facts: dict[str, Any] = {"rate": file.samplerate, "channels": file.channels, "format": f"{file.format} {file.subtype}"}
            refused(file.samplerate, file.channels)
            kept = slower(file.samplerate)
            found, parts, peak, full = 0, list[np.ndarray](), 0.0, 0.0
            while len(block := file.read(out=np.zeros((BLOCK, file.channels), np.float32))):  # a cut MP3 leaves some of what it is given as it was
                if not np.isfinite(block).all():
                    raise NoSound("it holds values that are not finite")
                found, peak, full = found + len(block), max(peak, float(np.abs(block).max())), full + len(block) * clipped(block)
                if found > MOST_SECONDS * file.samplerate:
                    raise NoSound(f"it is longer than {MOST_SECONDS // 60} minutes")
                parts.append(kept(block.mean(1), False))
            parts.append(kept(np.zeros(0, np.float32), True))
            facts["truncated"] = found < file.frames or shorter(file.extra_info)
    except (soundfile.LibsndfileError, OSError, RuntimeError, ValueError, OverflowError, MemoryError) as error:
        why = first_line(error).rpartition("': ")[2]  # without the path, which libsndfile names
        raise NoSound(f"it cannot be decoded: {why}") from error
    if not found:
        raise NoSound("it holds no sample")
    if peak > LOUDEST:
        raise NoSound("it holds values far beyond full scale, as a damaged file does")
    if found < SHORTEST * facts["rate"]:
        raise NoSound(f"it is shorter than {1000 * SHORTEST:.0f} milliseconds: {found} sample{'s' * (found > 1)}")
    facts |= {"seconds": round(found / facts["rate"], 4), "peak": round(peak, 5), "clipped": round(full / found, 5)}
    wave, rate = np.concatenate(parts), min(facts["rate"], KEPT)
    if np.abs(wave).max() < SILENCE:
        raise NoSound("it is silent" if peak < SILENCE else "its channels cancel each other, so that nothing is left of them together")
    return Sound(wave=trimmed(wave, rate), rate=rate, facts=facts)


def slower(rate: int) -> Callable[[Float[np.ndarray, " t"], bool], Float[np.ndarray, " u"]]:
    """What brings the parts of a wave, and then its end, to `KEPT`; parts of one that is no faster stay as they are."""
    import soxr

    if rate <= KEPT:
        return lambda part, last: part
    stream = soxr.ResampleStream(rate, KEPT, 1, dtype="float32")
    return lambda part, last: stream.resample_chunk(part, last=last)


def refused(rate: int, channels: int) -> None:
    """Raises `NoSound` for a header that no sound has."""
    if not RATES[0] <= rate <= RATES[1]:
        raise NoSound(f"it names {rate:,} samples a second; {RATES[0]:,} to {RATES[1]:,} are read")
    if channels > MOST_CHANNELS:
        raise NoSound(f"it has {channels} channels; {MOST_CHANNELS} at most are read")


def shorter(log: str) -> bool:
    """Whether the file holds less than its header says, by libsndfile's log; a header that was written before the length was known says nothing."""
    sizes = [(int(said), int(there)) for said, there in SIZES.findall(log)]
    return any(there < said < UNKNOWN for said, there in sizes)


def clipped(channels: Float[np.ndarray, "t c"]) -> float:
    """The share of samples that are cut off at full scale: `CLIPS` or more in a row."""
    full = np.abs(channels) >= CLIPPED
    if len(full) < CLIPS:
        return 0.0
    runs = np.lib.stride_tricks.sliding_window_view(full, CLIPS, axis=0).all(-1)
    inside = np.zeros_like(full)
    for k in range(CLIPS):
        inside[k : len(full) - CLIPS + 1 + k] |= runs
    return round(float(inside.mean()), 5)


def pieces(wave: Float[np.ndarray, " t"], samples: int) -> tuple[Float[np.ndarray, "n samples"], list[int]]:
    """A wave cut to parts of so many samples, and which of them: those that are not silent beside the loudest part; the rest at the end counts
    where it fills half a part, or where there is no other."""
    count = max(1, (len(wave) + samples // 2) // samples)
    whole = np.pad(wave[: count * samples], (0, max(0, count * samples - len(wave)))).reshape(count, samples)
    power = np.square(whole, dtype=np.float64).mean(1)
    loud = np.flatnonzero(power > power.max() * 10 ** (-QUIET / 10))
    return whole[loud], loud.tolist()


def trimmed(wave: Float[np.ndarray, " t"], rate: int) -> Float[np.ndarray, " u"]:
    """The wave from the first to the last part that is less than `QUIET` decibels below its loudest part."""
    size = max(1, round(FRAME * rate))
    whole = -(-len(wave) // size) * size
    power = np.square(np.pad(wave, (0, whole - len(wave))).reshape(-1, size), dtype=np.float64).mean(1)
    loud = np.flatnonzero(power > power.max() * 10 ** (-QUIET / 10))
    return wave[loud[0] * size : (loud[-1] + 1) * size]


def resampled(wave: Float[np.ndarray, " t"], rate: int, to: int) -> Float[np.ndarray, " u"]:
    """The wave at another rate."""
    import soxr

    return wave if rate == to else soxr.resample(wave.astype(np.float32), rate, to)


def levelled(wave: Float[np.ndarray, " t"]) -> Float[np.ndarray, " t"]:
    """The wave at `LOUDNESS`, or as near as its peaks allow."""
    power, peak = float(np.square(wave, dtype=np.float64).mean()), float(np.abs(wave).max())
    if not peak:
        return wave
    return wave * min(10 ** (LOUDNESS / 20) / power**0.5, 1.0 / peak)


def fitted(wave: Float[np.ndarray, " t"], samples: int) -> Float[np.ndarray, " samples"]:
    """Exactly so many samples: silence on both sides, or the part with the most power."""
    if len(wave) <= samples:
        before = (samples - len(wave)) // 2
        return np.pad(wave, (before, samples - len(wave) - before))
    power = np.concatenate([[0.0], np.square(wave, dtype=np.float64).cumsum()])
    start = int((power[samples:] - power[:-samples]).argmax())
    return wave[start : start + samples]
