"""The slides that could not be predicted, and why: a small table that is replaced as a whole."""

from __future__ import annotations

import csv
from pathlib import Path

from ats_mag.cohort.find_slides import CohortSlide
from ats_mag.system.atomic_files import write_whole
from ats_mag.system.csv_cells import csv_line

_COLUMNS = ["path", "slide_id", "error"]


def failures_of(path: Path) -> Path:
    """The name of that table; of its own for every table of predictions."""
    return path.with_name(path.name + ".failed.csv")


class FailureTable:
    """`NAME.csv.failed.csv` beside the predictions; there is none while nothing has failed.

    Args:
        path: of the predictions' CSV.
    """

    def __init__(self, path: Path) -> None:
        self.path = failures_of(path)
        self._rows: dict[str, list[str]] = {}
        if self.path.exists():
            with open(self.path, newline="", encoding="utf-8", errors="surrogateescape") as file:
                self._rows = {row[0]: row for row in list(csv.reader(file))[1:] if len(row) == len(_COLUMNS)}

    def put(self, path: str, slide: CohortSlide, error: str) -> None:
        """A slide has failed."""
        self._rows[path] = [path, slide.slide_id, error]
        self._write()

    def drop(self, path: str) -> None:
        """A slide has been predicted, whatever came of it before."""
        if self._rows.pop(path, None) is not None:
            self._write()

    def _write(self) -> None:
        if not self._rows:
            self.path.unlink(missing_ok=True)
            return
        text = "".join(map(csv_line, [_COLUMNS, *self._rows.values()]))
        write_whole(self.path, text.encode(errors="surrogateescape"))
