"""augmind: learn generators from a small labelled dataset, screen what they draw, and prove whether it helps."""

__version__ = "0.1.0"
