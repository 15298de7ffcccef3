"""The lines of a CSV file, of which none vanishes into a quote that somebody forgot to close."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from ats_mag.system.sheets import Line, Sheet, TableError

SEPARATORS = ",;\t"


def csv_lines(path: Path) -> Sheet:
    """The lines of a CSV file; those that are empty are left out.

    Raises:
        TableError: it cannot be read, is no UTF-8, holds zero bytes, or a double quote in it is opened and not closed.
    """
    where = repr(str(path))
    begins = 1
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            header = next((line for line in file if line.strip()), "")
            told = re.fullmatch(r'"?sep=(.)"?', header.strip(), re.IGNORECASE)  # a first line of Excel's
            separator = told[1] if told else _separator(header)
            file.seek(0)
            reader = csv.reader(file, delimiter=separator, strict=True)
            lines = []
            for row in reader:
                if any("\0" in cell for cell in row):
                    raise TableError(f"{where}, line {begins}: it holds zero bytes: the file is damaged, save it again")
                cells = [cell.strip() for cell in row]
                if any(cells):
                    lines.append(Line(begins, cells))
                begins = reader.line_num + 1
    except UnicodeDecodeError as error:
        raise TableError(f"{where} is not UTF-8 text: save it as CSV in UTF-8, or as .xlsx") from error
    except csv.Error as error:
        raise TableError(f"{where}, line {begins}: {_QUOTE} ({error}). {_MEND}") from error
    except OSError as error:
        raise TableError(f"{where} is not a readable CSV: {error}") from error
    lines = lines[1:] if told else lines
    for line in lines:
        if any(_swallows_rows(cell, separator, len(lines[0].cells)) for cell in line.cells):
            raise TableError(f"{where}, line {line.number}: {_QUOTE}, but goes on over lines like rows. {_MEND}")
    return Sheet(where, lines)


_QUOTE = "a double quote is opened that is not closed at the end of its value"
_MEND = 'Remove it, or write the value in double quotes with each of its own doubled: "2nd ""piece"""'


def _separator(header: str) -> str:
    bare = re.sub(r'"[^"]*"', "", header)
    return max(SEPARATORS, key=bare.count)


def _swallows_rows(cell: str, separator: str, columns: int) -> bool:
    """Whether all but the first line of a cell have the separators of a row: two stray quotes took rows for one value."""
    rest = [line for line in cell.splitlines()[1:] if line.strip()]
    return columns > 1 and bool(rest) and all(line.count(separator) >= columns - 1 for line in rest)
