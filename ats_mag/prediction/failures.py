"""The slides that could not be predicted, and why: a small table that is replaced as a whole."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from ats_mag.cohort.find_slides import CohortSlide
from ats_mag.system.atomic_files import write_whole

_COLUMNS = ["path", "slide_id", "error"]


class FailureTable:
    """`NAME.failed.csv` beside the predictions; there is none while nothing has failed.

    Args:
        path: of the predictions' CSV.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.with_suffix(".failed.csv")
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
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([_COLUMNS, *self._rows.values()])
        write_whole(self.path, text.getvalue().encode(errors="surrogateescape"))
