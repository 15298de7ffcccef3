"""Values as cells of a CSV that any program may open."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable

# What a spreadsheet takes for the beginning of a formula, which may run programs; numbers are none.
_FORMULA = re.compile(r"[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def cell_text(value: object) -> str:
    """A value as a cell: numbers come back as they were, and no text is taken for a formula.

    Text that a spreadsheet would take for one gets an apostrophe before it.
    """
    if value is None:
        return ""
    text = repr(float(value)) if isinstance(value, float) else str(value)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def csv_line(values: Iterable[object]) -> str:
    """A row with its line break, see `cell_text`."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow([cell_text(value) for value in values])
    return text.getvalue()
