"""Words of Chinese, which is written without spaces, by jieba: a dictionary, and a hidden Markov model for what is not in it."""

import re
import warnings
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

from augmind.core.errors import MachineError

from .words import pieces, script

HAN = re.compile("[\u4e00-\u9fff]")


def needed() -> str:
    """jieba with its version. Raises `MachineError` where it is not installed."""
    if find_spec("jieba") is None:
        raise MachineError("Chinese words need the package jieba, which is not installed", help='pip install "augmind[text]"', code="ENV-004")
    return f"jieba {version('jieba')}"


@cache
def cutter() -> Any:
    """The tokenizer, made in about a second from the dictionary in the package alone: jieba's own way would load what lies in a folder
    that everybody can write to, and would leave a file there."""
    needed()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # at its import it uses what Python gives up
        from jieba import Tokenizer
    made = Tokenizer()
    made.FREQ, made.total = made.gen_pfdict(made.get_dict_file())
    made.initialized = True
    return made


def segments(text: str) -> tuple[list[str], list[str]]:
    """(words, gaps) as of `words.pieces`, in which the characters of a Chinese word are one; Japanese and texts without Han stay as they are."""
    found, gaps = pieces(text)
    if not HAN.search(text) or script(text) == "Japanese":
        return found, gaps
    ends, at = set(), 0
    for word in cutter().cut(text):
        at += len(word)
        ends.add(at)
    whole, between, at = [], [], 0
    for word, gap in zip(found, gaps, strict=False):
        at += len(gap)
        if whole and not gap and at not in ends:
            whole[-1] += word
        else:
            whole.append(word)
            between.append(gap)
        at += len(word)
    return whole, [*between, gaps[-1]]
