"""Libraries that would write beside our own progress."""


def quiet() -> None:
    """`transformers` shows no bars while it opens models."""
    from transformers.utils import logging

    logging.disable_progress_bar()
