"""Libraries that would write beside our own progress."""

import contextlib
from collections.abc import Iterator


def quiet() -> None:
    """`transformers` shows no bars while it opens models."""
    from transformers.utils import logging

    logging.disable_progress_bar()


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Inside, `transformers` tells errors alone: not the tensors that a network leaves in its file, nor bands that no frequency falls into."""
    import warnings

    from transformers.utils import logging

    quiet()
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="At least one mel filter has all zero values")
            yield
    finally:
        logging.set_verbosity(before)
