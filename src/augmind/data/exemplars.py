"""Examples that a person points at, in the form of a dataset's rows."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from jaxtyping import Shaped
from torch import Tensor

from augmind.core.errors import DataError, UsageError
from augmind.core.types import Codec, Spec

from .load import unlabelled
from .sources import printable


def exemplars(given: Sequence[str], spec: Spec, codec: Codec, flag: str = "--like") -> Shaped[Tensor, "n ..."]:
    """Files, or where rows are texts the texts themselves, as stored rows.

    Raises `UsageError` for rows of several parts, `DataError` for a file that is not there, cannot be read, or is of another kind.
    """
    if spec.parts:
        raise UsageError(f"{flag} is about rows of one part, and these have {' and '.join(spec.parts)}", help="leave it out")
    if spec.kind == "tokens":
        return codec.encode(list(given))
    files = [Path(name).expanduser() for name in given]
    for file in files:
        if not file.is_file():
            raise DataError(f"there is no file '{printable(str(file))}', which {flag} names", help="check the path")
    with tempfile.TemporaryDirectory(prefix="augmind-") as temp:
        for i, file in enumerate(files):
            shutil.copyfile(file, Path(temp) / f"{i:04d} {file.name}")
        found = unlabelled(temp, like=spec, max_bad=0.0)
    if (found.spec.shape, found.spec.rate) != (spec.shape, spec.rate):
        raise DataError(f"the files of {flag} are not of the kind of the dataset", help="give files like those of the dataset")
    return found.samples.x
