"""Tables as text, cell by cell as people see them: CSV of any separator, and XLSX."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from ats_mag.system.csv_lines import csv_lines
from ats_mag.system.sheets import Line, Sheet, TableError
from ats_mag.system.xlsx_lines import xlsx_sheets

__all__ = ["FoundTable", "TableError", "find_table", "read_frame", "read_table"]

_EXCEL = (".xlsx", ".xlsm")
_ABOVE = 20  # lines in which the names of the columns are looked for: titles, dates and sources stand above them


class FoundTable(NamedTuple):
    """The table of a file.

    Attributes:
        names: of the columns.
        rows: those that are not empty, each with its line number and a text per column.
        notes: sentences on what else the file holds, which was not read.
    """

    names: list[str]
    rows: list[tuple[int, list[str]]]
    notes: list[str]


def read_table(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The names of the columns, and the rows that are not empty with their line numbers; see `find_table`.

    Raises:
        TableError: see `find_table`.
    """
    found = find_table(path)
    return found.names, found.rows


def read_frame(path: Path) -> pd.DataFrame:
    """As `read_table`, as a table of text."""
    names, rows = read_table(path)
    return pd.DataFrame([row for _, row in rows], columns=names, dtype=object)


def find_table(path: Path, names_columns: Callable[[Sequence[str]], bool] | None = None) -> FoundTable:
    """The table of a file: CSV, separated by commas, semicolons or tabs, or a sheet of an XLSX file.

    Charts and empty sheets are passed over. Numbers of an XLSX file come as they are shown where their format has leading
    zeros, so that "001" stays.

    Args:
        path: the file.
        names_columns: whether a line names the columns that are looked for. With it, titles above that line and other
            sheets before it are passed over. None, or where it knows no line: the first line, below titles of one cell.

    Raises:
        TableError: an unreadable file, a quote that is not closed, a column without a name or named twice, or a row longer
            than the header.
    """
    if path.is_dir():
        raise TableError(f"{str(path)!r} is a folder: give a table, CSV or XLSX")
    if not path.is_file():
        raise TableError(f"{str(path)!r} does not exist")
    if path.suffix.lower() in (".xls", ".ods"):
        raise TableError(f"{str(path)!r} is of a kind that cannot be read: save it as .xlsx or .csv")
    excel = path.suffix.lower() in _EXCEL
    sheets = [sheet for sheet in (xlsx_sheets(path) if excel else [csv_lines(path)]) if sheet.lines]
    if not sheets:
        raise TableError(f"{str(path)!r} is empty: the first line must name the columns")
    sheet, first = _header(sheets, names_columns)
    alike = [
        other.where for other in sheets if other is not sheet and _names_columns_at(other, names_columns) is not None
    ]
    notes = [f"only {sheet.where} was read, which names the columns, not {', '.join(alike)}"] if alike else []
    names = list(sheet.lines[first].cells)
    while not names[-1]:
        names.pop()
    doubles = {name for name in names if names.count(name) > 1}
    if doubles:
        what = "without a name" if "" in doubles else f"named {min(doubles)!r}"
        raise TableError(f"{sheet.where} has several columns {what}: give each a name of its own")
    rows = []
    for number, cells in sheet.lines[first + 1 :]:
        if any(cells[len(names) :]):
            quotes = "" if excel else " put values that contain the separator in double quotes;"
            raise TableError(
                f"{sheet.where}, line {number}: {len(cells)} values for {len(names)} columns, which line "
                f"{sheet.lines[first].number} names:{quotes} remove titles above the names of the columns"
            )
        rows.append((number, (cells + [""] * len(names))[: len(names)]))
    return FoundTable(names, rows, notes)


def _header(sheets: list[Sheet], names_columns: Callable[[Sequence[str]], bool] | None) -> tuple[Sheet, int]:
    """The sheet that is the table, and the index of the line that names its columns."""
    for sheet in sheets:
        first = _names_columns_at(sheet, names_columns)
        if first is not None:
            return sheet, first
    return sheets[0], _below_titles(sheets[0].lines[:_ABOVE], sheets[0].lines)


def _names_columns_at(sheet: Sheet, names_columns: Callable[[Sequence[str]], bool] | None) -> int | None:
    if names_columns is None:
        return None
    return next((i for i, line in enumerate(sheet.lines[:_ABOVE]) if names_columns(line.cells)), None)


def _below_titles(candidates: list[Line], lines: list[Line]) -> int:
    """The first line of several cells, where all lines below it are such and all above it have one cell; else the first."""
    filled = [sum(map(bool, line.cells)) for line in lines]
    first = next((i for i in range(len(candidates)) if filled[i] > 1), 0)
    return first if first + 1 < len(lines) and min(filled[first:]) > 1 else 0
