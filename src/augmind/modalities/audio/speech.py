"""Words spoken by espeak-ng, in processes of their own, which alone load it."""

import ctypes
import json
import sys
from collections.abc import Iterable, Iterator
from ctypes.util import find_library
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from augmind.core import decoding
from augmind.core.decoding import Answer, CannotRead
from augmind.core.errors import MachineError, UsageError
from augmind.core.store import digest

ENGINE = "espeak-ng"
PROGRAM = decoding.PROGRAM.format(__name__)
"""What a worker runs."""
FILES = {"linux": "libespeak-ng.so", "darwin": "libespeak-ng.dylib", "win32": "espeak-ng.dll"}
SYNCHRONOUS, DONT_EXIT, UTF8, CHARACTERS = 2, 0x8000, 1, 1
"""Constants of espeak-ng's interface: samples come by a callback, errors are returned, texts are UTF-8, positions are characters."""
RATE, PITCH, RANGE = 1, 3, 4
"""Numbers of its parameters: words a minute, and two from 0 to 99."""
SEED = 1
"""Of its own noise, at the beginning of every text."""


@dataclass(frozen=True, kw_only=True)
class Said:
    """A text and how it is spoken: a language, perhaps with a variant ("en-us+f3"), words a minute, and a pitch and its range from 0 to 99."""

    text: str
    voice: str = "en"
    speed: int = 160
    pitch: int = 50
    range: int = 50


def engine() -> str | None:
    """Where espeak-ng's library lies: what `augmind models pull espeak-ng` fetched, an installed package that carries it, or the system's."""
    from augmind.nn.weights import located

    if folder := located(ENGINE):
        file = folder / FILES.get(sys.platform, FILES["linux"])
        return str(file) if file.is_file() else None
    return find_library(ENGINE)


def needed() -> str:
    """`engine`. Raises `MachineError` with the command that gets it."""
    if found := engine():
        return found
    text = "speech comes from espeak-ng, which is not on this machine"
    way = f"get it once with: augmind models pull {ENGINE} (10 MB), or as a package of your system (apt install espeak-ng)"
    raise MachineError(text, help=way, code="ENV-004")


@dataclass(frozen=True)
class Speaker:
    """One loading of the library at `place`, whose noise and phases start afresh: a text sounds the same whatever was spoken before it."""

    place: str

    def speak(self, said: Said) -> tuple[np.ndarray, int]:
        """16-bit samples and their rate. Raises `CannotRead` where espeak-ng refuses."""
        lib = ctypes.CDLL(self.place)
        try:
            return spoken(lib, self.place, said)
        finally:
            lib.espeak_Terminate()
            closed(lib)


def spoken(lib: ctypes.CDLL, place: str, said: Said) -> tuple[np.ndarray, int]:
    parts = list[bytes]()

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
    def keep(samples: int | None, count: int, _events: int | None) -> int:
        if samples and count:
            parts.append(ctypes.string_at(samples, 2 * count))
        return 0

    rate = lib.espeak_Initialize(SYNCHRONOUS, 0, data_beside(place), DONT_EXIT)
    if rate <= 0:
        raise CannotRead("espeak-ng cannot be started: its data are missing or damaged")
    if seed := getattr(lib, "espeak_ng_SetRandSeed", None):
        seed(ctypes.c_long(SEED))
    lib.espeak_SetSynthCallback(keep)
    if lib.espeak_SetVoiceByName(said.voice.encode()):
        raise CannotRead(f"espeak-ng has no voice '{said.voice}'")
    for number, value in ((RATE, said.speed), (PITCH, said.pitch), (RANGE, said.range)):
        lib.espeak_SetParameter(number, value, 0)
    text = said.text.encode()
    lib.espeak_Synth(text, ctypes.c_size_t(len(text) + 1), 0, CHARACTERS, 0, UTF8, None, None)
    lib.espeak_Synchronize()
    return np.frombuffer(b"".join(parts), dtype="<i2"), rate


def data_beside(place: str) -> bytes | None:
    """The folder of voices beside a library that was fetched; None for the system's, which knows its own."""
    folder = Path(place).parent
    return str(folder).encode() if (folder / "espeak-ng-data").is_dir() else None


def closed(lib: ctypes.CDLL) -> None:
    """Lets the library go, so that the next loading starts from its first state."""
    import _ctypes

    let_go: Any = getattr(_ctypes, "dlclose", None) or getattr(_ctypes, "FreeLibrary")  # noqa: B009
    let_go(lib._handle)


def serve() -> None:
    """The life of a worker."""
    decoding.serve(answer)


def answer(request: Path | bytes, how: str) -> Answer:
    assert isinstance(request, bytes)
    samples, rate = Speaker(how).speak(Said(**json.loads(request)))
    return Answer({"rate": rate}, samples.tobytes())


@dataclass(frozen=True, kw_only=True)
class Pool(decoding.Pool):
    """Speaks many texts in order with bounded memory."""

    program: str = field(default_factory=lambda: PROGRAM)

    def spoken(self, texts: Iterable[Said], place: str) -> Iterator[tuple[Float[np.ndarray, " t"], int]]:
        """Waves, -1..1, and their rates. Raises `UsageError` for a voice that there is not, `MachineError` where the library fails."""
        for found in self.answers((json.dumps(asdict(said)).encode() for said in texts), place):
            if isinstance(found, CannotRead):
                if "no voice" in str(found):
                    raise UsageError(str(found), help="give a language that it speaks, such as en, en-us, de, fr, es or cmn: --set tts.language=de")
                raise MachineError(f"{ENGINE} failed: {found}", help=f"fetch it anew: delete its folder (augmind models path {ENGINE}) and pull it")
            yield np.frombuffer(found.data, dtype="<i2").astype(np.float32) / 32768, found.about["rate"]


@cache
def content(place: str) -> str:
    """A hash of what the library is: of its files where they lie together, else of its own file."""
    from augmind.nn import weights

    folder = Path(place).parent
    if data_beside(place):
        return weights.content(folder)
    return weights.content(Path(place)) if Path(place).is_file() else digest(place)
