"""Folders of `diffusers` pipelines: whether one may be opened, of what it consists, and what it can be asked for. No code of a folder is run."""

import contextlib
import json
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from augmind.core.errors import MachineError, UsageError, first_line
from augmind.nn import weights
from augmind.nn.weights import INDEX

WHAT = "pipeline"
WAY = "give a folder that `save_pretrained` of diffusers wrote, or a Hub id such as stabilityai/sd-turbo"
FOREIGN = (".bin", ".ckpt", ".pt", ".pth", ".msgpack", ".h5", ".onnx", ".pkl")
"""How files of weights end that are never read."""
UNCONDITIONAL = ("DDPMPipeline", "DDIMPipeline")
"""Pipelines that know no classes: their rows can be varied, and nothing else."""
LABELLED = ("DiTPipeline",)
"""Pipelines that are asked by the names of the classes that they were trained on."""
UNSEEDED = ("DPMSolverSDEScheduler", "CosineDPMSolverMultistepScheduler")
"""Schedulers with noise that no generator of a row can seed."""
ADAPTED = ("UNet2DConditionModel", "UNet2DModel", "SD3Transformer2DModel", "FluxTransformer2DModel")
"""Denoisers whose way to be trained is known: what they are told of time, and what they say of noise."""


def needed(name: str = "") -> Path:
    """Where a pipeline lies. Raises `UsageError` where none is named or a folder holds none that may be opened, `MachineError` where it, or the
    package that opens it, is not on this machine."""
    if not name:
        way = "augmind models pull stabilityai/sd-turbo, once, and then --set pretrained.model=stabilityai/sd-turbo"
        raise UsageError("'pretrained' draws with a pipeline of diffusers, and none is named", help=way)
    path = weights.needed(name, WHAT)
    if find_spec("diffusers") is None:
        text = "pipelines are opened by the package diffusers, which is not installed"
        raise MachineError(text, help='pip install "augmind[diffusion]"', code="ENV-004")
    for part in index(name, path)[1]:
        _check_weights(name, path / part)
    return path


def index(name: str, path: Path) -> tuple[str, dict[str, tuple[str | None, str | None]]]:
    """The class of a pipeline and the library and class of each of its parts, as its folder says. Raises `UsageError` where that makes no sense."""
    if not (path / INDEX).is_file():
        raise UsageError(f"the {WHAT} '{name}' has no {INDEX}", help=WAY)
    try:
        said = json.loads((path / INDEX).read_text("utf-8"))
        kind = said["_class_name"]
        parts = {part: (entry[0], entry[1]) for part, entry in said.items() if isinstance(entry, list) and not part.startswith("_")}
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise UsageError(f"the {INDEX} of the {WHAT} '{name}' cannot be read: {first_line(error)}", help=WAY) from error
    if not isinstance(kind, str):
        raise UsageError(f"the {WHAT} '{name}' is made by code of its own, which is never run", help=WAY)
    return kind, {part: entry for part, entry in parts.items() if all(e is None or isinstance(e, str) for e in entry)}


def _check_weights(name: str, folder: Path) -> None:
    """Raises `UsageError` for weights that are none or not only safetensors, which could hold code."""
    files = [f for f in folder.iterdir() if f.is_file()] if folder.is_dir() else []
    if any(f.suffix in FOREIGN for f in files) and not any(f.suffix == ".safetensors" for f in files):
        text = f"the {WHAT} '{name}' has no safetensors in '{folder.name}', and other weights are never loaded"
        raise UsageError(text, help="save it anew with safe_serialization=True, or choose one with safetensors")
    for file in files:
        if file.name.endswith(".json") and ".index" in file.name and not all(plain(f) for f in _named(file)):
            raise UsageError(f"'{folder.name}/{file.name}' of the {WHAT} '{name}' names files that are not safetensors beside it", help=WAY)


def _named(index: Path) -> list[str]:
    """The files that an index of weights in parts names; a name that is none where it cannot be read."""
    try:
        return [str(file) for file in json.loads(index.read_text("utf-8"))["weight_map"].values()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return [""]


def plain(file: str) -> bool:
    """Whether this is the name of a file of safetensors in the same folder."""
    return file.endswith(".safetensors") and not set("/\\") & set(file)


def classes(name: str) -> tuple[str, dict[str, Any]]:
    """The class of a pipeline by name, and the class of each of its parts, None for one that it is without.

    Raises as `needed`, and `UsageError` for a class that neither diffusers nor transformers has.
    """
    kind, parts = index(name, needed(name))
    with hushed():
        import diffusers

        if kind not in dir(diffusers):
            raise UsageError(f"the {WHAT} '{name}' is a '{kind}', which diffusers {diffusers.__version__} does not know", help=WAY)
        return kind, {part: _class(name, part, *entry) for part, entry in parts.items()}


def _class(name: str, part: str, source: str | None, kind: str | None) -> Any:
    """The class of a part. Raises `UsageError` for one of any other library than these two."""
    if source is None or kind is None:
        return None
    import diffusers
    from diffusers.pipelines.pipeline_loading_utils import simple_get_class_obj

    if source in ("diffusers", "transformers") or hasattr(diffusers.pipelines, source):
        with contextlib.suppress(AttributeError):
            return simple_get_class_obj(source, kind)
    text = f"the part '{part}' of the {WHAT} '{name}' is a '{source}.{kind}', and only classes of diffusers and transformers are opened"
    raise UsageError(text, help=WAY)


def tasks(kind: str) -> tuple[str, ...]:
    """What a pipeline of this class can be asked for: "variation" of a row, "inpaint" a part of one, "prompt" a row by words."""
    if kind in UNCONDITIONAL:
        return ("variation",)
    if kind in LABELLED:
        return ("prompt",)
    return tuple(task for task, table in tables().items() if family(kind) in table)


def tables() -> dict[str, dict[str, Any]]:
    """The pipelines of diffusers for each task, by family."""
    with hushed():
        from diffusers.pipelines import auto_pipeline

        auto: Any = auto_pipeline
        return {
            "variation": auto.AUTO_IMAGE2IMAGE_PIPELINES_MAPPING,
            "inpaint": auto.AUTO_INPAINT_PIPELINES_MAPPING,
            "prompt": auto.AUTO_TEXT2IMAGE_PIPELINES_MAPPING,
        }


def family(kind: str) -> str:
    """What diffusers calls the family of a pipeline's class; empty for one that it does not sort."""
    return next((family for table in tables().values() for family, own in table.items() if own.__name__ == kind), "")


def able(name: str, task: str, adapt: str) -> None:
    """Raises `UsageError` where a pipeline cannot be asked for this, or not be adapted this way, and as `classes`."""
    kind, parts = classes(name)
    known = tasks(kind)
    if task not in known:
        why = "knows no classes and no words, so it can only vary rows" if kind in UNCONDITIONAL else "cannot be asked for it"
        why = "is asked by the name of a class, and cannot begin from rows" if kind in LABELLED else why
        way = f"--set pretrained.task={' or '.join(known)}" if known else WAY
        raise UsageError(f"pretrained.task={task}: '{name}' is a {kind}, which {why}", help=way)
    if (scheduler := getattr(parts.get("scheduler"), "__name__", "")) in UNSEEDED:
        text = f"the {WHAT} '{name}' has a {scheduler}, with which a row would depend on those that are drawn beside it"
        raise UsageError(text, help="name another scheduler in its folder, such as EulerDiscreteScheduler")
    if adapt == "none":
        return
    denoiser = parts.get("transformer") or parts.get("unet")
    if kind in LABELLED or not ("prompt" in known or kind in UNCONDITIONAL) or getattr(denoiser, "__name__", "") not in ADAPTED:
        text = f"pretrained.adapt={adapt}: how a {kind} is trained further is not known here"
        raise UsageError(text, help=f"leave it out; pipelines with one of these can be adapted: {', '.join(ADAPTED)}")
    if adapt == "inversion" and "text_encoder" not in parts:
        raise UsageError(f"pretrained.adapt=inversion learns words, and '{name}' reads none", help="--set pretrained.adapt=lora")


def halved(folder: Path) -> bool:
    """Whether the weights of a part are there in half precision alone."""
    files = [f.name for f in folder.glob("*.safetensors")]
    return bool(files) and all(".fp16" in f for f in files)


@contextlib.contextmanager
def hushed() -> Iterator[None]:
    """Inside, diffusers and transformers tell errors alone, and show no bars: what they find outdated in a folder its user cannot change."""
    from augmind.nn.quiet import silent

    with silent(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from diffusers.utils import logging

        before = logging.get_verbosity()
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        try:
            yield
        finally:
            logging.set_verbosity(before)
