"""What language a text is written in, where that is sure: langid (Lui and Baldwin 2012) with the model of py3langid, 139 languages."""

from functools import cache
from typing import Any

import numpy as np

SURE = 0.8
"""Least probability at which a language is said."""
LEAST = 20
"""Bytes of UTF-8 below which none is said."""
NONE = "zxx"
"""What the model says of signs that are no language, such as addresses."""


@cache
def identifier() -> Any:
    """The model, opened once a process in about a second: arrays in the package, nothing pickled."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    made = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    made.nb_ptc = made.nb_ptc.astype(np.float32)  # the same answers as with float16, in two thirds of the time
    return made


def language_of(text: str) -> str | None:
    """The ISO 639 code of the language ("en", "zh"); None for a short text and where the model is not sure."""
    if len(text.encode()) < LEAST:
        return None
    said, probability = identifier().classify(text)
    return said if probability >= SURE and said != NONE else None
