"""A table as readers give it: named columns, and rows that keep their number in the file."""

from abc import ABC, abstractmethod
from typing import Any


class Table(ABC):
    """A table by columns. Small columns are read whole (`values`), pictures and sounds one by one (`cell`)."""

    name: str
    columns: list[str]
    bad: dict[int, str]
    """Rows that are no rows, by their number in the file, with the reason."""
    numbers: list[int]
    """The number in the file of each good row, as an editor or spreadsheet shows it."""

    @abstractmethod
    def values(self, column: str) -> list[Any]: ...

    @abstractmethod
    def cell(self, column: str, i: int) -> Any: ...

    def classes(self, column: str) -> list[str] | None:
        """The names behind integer labels, if the table tells them."""
        return None

    def media(self) -> list[str]:
        """Columns that hold pictures or sounds by their type."""
        return []

    def texts(self, column: str) -> bool:
        """Whether a column holds text, so that it can be read whole."""
        return True

    def small(self, column: str) -> bool:
        """Whether a column holds words, numbers, truths or days, one a row, so that it can be read whole."""
        return True
