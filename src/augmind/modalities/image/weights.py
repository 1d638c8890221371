"""What runs on pictures read beside the data, and what is said of it where it is missing."""

from augmind.nn.weights import Package

PACKAGES: tuple[Package, ...] = ()
FILES, USUAL, ASKED = (), {}, ()
"""As of texts: no file is anything but a model, and none is usual or read without being named."""
READS = {"pretrained.model": "pipeline"}
"""Settings that name a model, and what is said of it where it is missing."""
CHECKS = {"pretrained": "pipelines"}
"""Generators, with the module whose `needed` says what they lack where no model is named for them."""
