"""A CSV that grows by whole rows: each is on the disk before the next begins, and a row that was cut off is taken away."""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path

from ats_mag.system.atomic_files import check_ordinary, write_whole
from ats_mag.system.csv_cells import cell_text, csv_line
from ats_mag.system.json_text import json_bytes

CONTENT = "slide_sha256"  # of the ends of the slide's files, see `fingerprint`
MASK = "tissue_mask_sha256"  # of the file in which somebody drew the tissue; empty: it was found


class PredictionTable:
    """The predictions of one model in a file, held by one process at a time.

    Beside `NAME.csv` stands `NAME.csv.model.json`, which says which model, asked in which way, the rows are of; rows of another
    are refused.

    Args:
        path: the CSV; made where absent.
        card: of the model and how it is asked, see `ModelIdentity.card`.

    Attributes:
        rows: by the path of the slide its `mpp`, both as they stand in the row.
        contents: by the path of the slide its `CONTENT`, where the row has one.
        masks: by the path of the slide its `MASK`, where the row has one.

    Raises:
        OSError: the file is a folder or a device, or cannot be written.
        ValueError: the file is of another model, or is no such table.
        RuntimeError: another process is writing to it.
    """

    def __init__(self, path: str | os.PathLike[str], card: Mapping[str, object]) -> None:
        self.path = Path(path)
        self.card_path = self.path.with_name(self.path.name + ".model.json")
        if self.path.is_dir():
            raise IsADirectoryError(f"{str(path)!r} is a folder: give the name of a CSV")
        check_ordinary(self.path)  # some devices can be read without end
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._columns: list[str] | None = None
        self.rows: dict[str, str] = {}
        self.contents: dict[str, str] = {}
        self.masks: dict[str, str] = {}
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            self._lock()
            self._read(card)
            if not self.rows or not self.card_path.exists():
                write_whole(self.card_path, json_bytes(card))
        except BaseException:
            self.close()
            raise

    def append(self, row: Mapping[str, object]) -> None:
        """Writes a row to the disk, without columns that an earlier release, which began the table, did not have.

        Raises:
            ValueError: its columns are not those of the file.
        """
        if self._columns is not None:
            if row.get(MASK) and MASK not in self._columns:
                raise ValueError(
                    f"{str(self.path)!r} was begun by an earlier release and cannot say by which tissue mask a row was predicted: choose "
                    "another file"
                )
            row = {name: value for name, value in row.items() if name in self._columns or name not in _ADDED}
        text = csv_line(row.values())
        if self._columns is None:
            text = csv_line(row) + text  # at once, so that there is no header without a row
            self._columns = list(row)
            _sync_folder(self.path.parent)
        elif self._columns != list(row):
            raise ValueError(
                f"the columns of {str(self.path)!r} are {', '.join(self._columns)}, those of its next row "
                f"{', '.join(row)}: choose another file"
            )
        data = text.encode(errors="surrogateescape")
        while data:  # the disk may be full after a part of it
            data = data[os.write(self._file, data) :]
        os.fsync(self._file)
        self.rows[cell_text(row["path"])] = cell_text(row["mpp"])
        self.contents[cell_text(row["path"])] = cell_text(row.get(CONTENT))
        self.masks[cell_text(row["path"])] = cell_text(row.get(MASK))

    def close(self) -> None:
        """Gives the file back."""
        os.close(self._file)

    def __enter__(self) -> PredictionTable:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _lock(self) -> None:
        """The lock ends with its process, however that ends. On a file system without locks there is none."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RuntimeError(
                f"another process is writing predictions to {str(self.path)!r}: wait for it, or stop it first"
            ) from error
        except OSError:
            pass

    def _read(self, card: Mapping[str, object]) -> None:
        """What stands there; a row that was cut off is taken away, once it is sure that the table is ours."""
        content = self.path.read_bytes()
        whole = _end_of_rows(content)
        text = content[:whole].decode(errors="surrogateescape")
        columns, *rows = [line for line in csv.reader(io.StringIO(text, newline="")) if line] or [[]]
        if content:
            self._check(card if rows else None)
        if columns and columns[: len(_KEYS)] != list(_KEYS):
            raise self._strange(f"does not begin with the columns {', '.join(_KEYS)}")
        for number, row in enumerate(rows, start=2):
            if len(row) != len(columns):
                raise self._strange(f"has {len(row)} values for {len(columns)} columns in row {number}")
            if row[0] in self.rows:
                raise self._strange(f"has the slide {row[0]!r} twice, the second time in row {number}")
            self.rows[row[0]] = row[2]
            values = dict(zip(columns, row, strict=True))
            self.contents[row[0]], self.masks[row[0]] = values.get(CONTENT, ""), values.get(MASK, "")
        if rows:
            self._columns = columns
        os.ftruncate(self._file, whole if rows else 0)

    def _check(self, card: Mapping[str, object] | None) -> None:
        """Refuses rows of another model than that of the card, and a file that is none of ours."""
        former = self.path.with_suffix(".model.json")  # of earlier releases; tables NAME.x and NAME.y shared it
        card_path = self.card_path if self.card_path.exists() or not former.exists() else former
        try:
            stated = json.loads(card_path.read_text())
            differing = [name for name in _SAME if card is not None and stated[name] != card[name]]
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ValueError(
                f"{str(self.path)!r} exists, but {str(self.card_path)!r}, which says of which model its rows are, is missing "
                "or damaged: choose another file"
            ) from error
        if card is not None and differing:
            which = f"model {stated['model']!r}, options {stated['options']}"
            raise ValueError(
                f"{str(self.path)!r} holds predictions of another {'model' if 'sha256' in differing else 'way of asking'} "
                f"({which}): choose another file, or remove it to begin anew"
            )

    def _strange(self, what: str) -> ValueError:
        return ValueError(
            f"{str(self.path)!r} is no table of predictions that can be continued: it {what}; choose another file"
        )


_KEYS = ("path", "slide_id", "mpp")
_ADDED = ("predicted", CONTENT, MASK)  # since tables of earlier releases
_SAME = ("sha256", "options")  # where the model lies and which release asks may change


def _end_of_rows(content: bytes) -> int:
    """Where the last complete row ends: after a line break outside of quotes."""
    end = start = quotes = 0
    while (newline := content.find(b"\n", start)) >= 0:
        quotes += content.count(b'"', start, newline)
        start = newline + 1
        if quotes % 2 == 0:
            end = start
    return end


def _sync_folder(folder: Path) -> None:
    """A new file's name is on the disk, too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
