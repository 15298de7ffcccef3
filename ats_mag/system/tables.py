"""Tables as text, cell by cell as people see them: CSV of any separator, and XLSX."""

from __future__ import annotations

import csv
import datetime
import re
from pathlib import Path
from typing import Any

import pandas as pd

SEPARATORS = ",;\t"


class TableError(ValueError):
    """A file that cannot be read as a table; the message names it and the mend."""


def read_table(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The names of the columns, and the rows that are not empty with their line numbers.

    CSV may be separated by commas, semicolons or tabs. Of an XLSX file the first sheet is read; numbers come as they are
    shown where their format has leading zeros, so that "001" stays.

    Raises:
        TableError: an unreadable file, a column without a name or named twice, or a row longer than the header.
    """
    if not path.is_file():
        raise TableError(f"{str(path)!r} does not exist")
    if path.suffix.lower() in (".xls", ".ods"):
        raise TableError(f"{str(path)!r} is of a kind that cannot be read: save it as .xlsx or .csv")
    lines = _read_xlsx(path) if path.suffix.lower() in (".xlsx", ".xlsm") else _read_csv(path)
    lines = [(number, [cell.strip() for cell in cells]) for number, cells in lines]
    lines = [(number, cells) for number, cells in lines if any(cells)]
    if not lines:
        raise TableError(f"{str(path)!r} is empty: the first line must name the columns")
    names = lines[0][1]
    while not names[-1]:
        names.pop()
    doubles = {name for name in names if names.count(name) > 1}
    if doubles:
        what = "without a name" if "" in doubles else f"named {min(doubles)!r}"
        raise TableError(f"{str(path)!r} has several columns {what}: give each a name of its own")
    rows = []
    for number, cells in lines[1:]:
        if any(cells[len(names) :]):
            raise TableError(
                f"{str(path)!r}, line {number}: {len(cells)} values for {len(names)} columns; put values that contain the "
                "separator in double quotes"
            )
        rows.append((number, (cells + [""] * len(names))[: len(names)]))
    return names, rows


def read_frame(path: Path) -> pd.DataFrame:
    """As `read_table`, as a table of text."""
    names, rows = read_table(path)
    return pd.DataFrame([row for _, row in rows], columns=names, dtype=object)


def _read_csv(path: Path) -> list[tuple[int, list[str]]]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            header = next((line for line in file if line.strip()), "")
            told = re.fullmatch(r'"?sep=(.)"?', header.strip(), re.IGNORECASE)  # a first line of Excel's
            bare = re.sub(r'"[^"]*"', "", header)
            separator = told[1] if told else max(SEPARATORS, key=bare.count)
            file.seek(0)
            reader = csv.reader(file, delimiter=separator)
            rows = [(reader.line_num, row) for row in reader]
        if told:
            del rows[: 1 + next(i for i, (_, row) in enumerate(rows) if any(row))]
        return rows
    except UnicodeDecodeError as error:
        raise TableError(f"{str(path)!r} is not UTF-8 text: save it as CSV in UTF-8, or as .xlsx") from error
    except (OSError, csv.Error) as error:
        raise TableError(f"{str(path)!r} is not a readable CSV: {error}") from error


def _read_xlsx(path: Path) -> list[tuple[int, list[str]]]:
    import zipfile

    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = load_workbook(path, read_only=True, data_only=True)
        try:
            sheet: Any = book.worksheets[0]
            sheet.reset_dimensions()  # stated by the program that wrote the file, and not always true
            rows = sheet.iter_rows()
            return [(number, [_cell_text(cell) for cell in row]) for number, row in enumerate(rows, start=1)]
        finally:
            book.close()
    except (OSError, zipfile.BadZipFile, InvalidFileException, KeyError, IndexError, ValueError) as error:
        raise TableError(f"{str(path)!r} is not a readable XLSX: {error}") from error


def _cell_text(cell: Any) -> str:
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and re.fullmatch("0+", cell.number_format or ""):
        return str(value).zfill(len(cell.number_format))
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        value = value.date()
    return str(value)
