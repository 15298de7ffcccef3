"""The lines of the sheets of an XLSX file, numbers as they are shown."""

from __future__ import annotations

import datetime
import re
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ats_mag.system.sheets import Line, Sheet, TableError


def xlsx_sheets(path: Path) -> Iterator[Sheet]:
    """The sheets with cells, in their order: those that are shown first, charts left out.

    Raises:
        TableError: it cannot be read.
    """
    from openpyxl.utils.exceptions import InvalidFileException

    where = repr(str(path))
    try:
        book = _open(path)
        try:
            several = len(book.sheetnames) > 1
            for sheet in sorted(book.worksheets, key=lambda sheet: sheet.sheet_state != "visible"):
                yield Sheet(f"{where}, sheet {sheet.title!r}" if several else where, list(_lines(sheet)))
        finally:
            book.close()
    except (OSError, zipfile.BadZipFile, InvalidFileException, KeyError, IndexError, ValueError) as error:
        raise TableError(
            f"{where} is not a readable XLSX: {error}; save it as .xlsx again, or as CSV with a name that ends in .csv"
        ) from error


def _open(path: Path) -> Any:
    from openpyxl.reader.excel import ExcelReader

    class WithoutCharts(ExcelReader):
        """Leaves out sheets that are charts: openpyxl 3.1 fails on those without a drawing."""

        def read_chartsheet(self, sheet: Any, rel: Any) -> None:
            pass

    reader = WithoutCharts(path, read_only=True, data_only=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of forms, names and pictures that are not read
        reader.read()
    return reader.wb


def _lines(sheet: Any) -> Iterator[Line]:
    sheet.reset_dimensions()  # stated by the program that wrote the file, and not always true
    for number, row in enumerate(sheet.iter_rows(), start=1):
        cells = [_cell_text(cell).strip() for cell in row]
        if any(cells):
            yield Line(number, cells)


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
