"""What a reader of tables gives: lines of text, and where they stand."""

from __future__ import annotations

from typing import NamedTuple


class TableError(ValueError):
    """A file that cannot be read as a table; the message names it and the mend."""


class Line(NamedTuple):
    """One line that is not empty.

    Attributes:
        number: of the line in the file or sheet, from 1; of cells that go over several lines, the first.
        cells: their text, without blanks around it.
    """

    number: int
    cells: list[str]


class Sheet(NamedTuple):
    """One table of a file.

    Attributes:
        where: the file, and the sheet where the file has several, for messages.
        lines: those that are not empty.
    """

    where: str
    lines: list[Line]
