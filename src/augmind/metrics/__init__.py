"""Figures about a synthetic set against real rows, on features; `bootstrap` gives them with intervals."""

from ._intervals import Interval, bootstrap

__all__ = ["Interval", "bootstrap"]
