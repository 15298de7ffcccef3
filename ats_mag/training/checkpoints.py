"""Files of everything that a training run is made of at one moment; the last two are kept."""

from __future__ import annotations

import errno
import json
import os
import time
import warnings
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ats_mag.system.atomic_files import remove_unfinished, whole_file

SECONDS = "seconds"  # of the state: how long training took, of all commands together
_KEPT = 2
_SEEN = 60.0  # seconds until a file that one host wrote is there for another
_NAMES = "names of arrays"  # the archive's checksums are of its arrays, not of its list of them


class Checkpoint(NamedTuple):
    """What one file holds.

    Attributes:
        file: it.
        state: plain values.
        arrays: by name.
    """

    file: Path
    state: dict[str, Any]
    arrays: dict[str, np.ndarray]


class Checkpoints:
    """The checkpoints of one fold.

    Args:
        folder: of the files; made where absent.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    def write(self, epoch: int, batch: int, state: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Writes one, whole or not at all, and removes all but the last two.

        Args:
            epoch, batch: that training goes on with.
            state: what JSON can hold.
            arrays: by name.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / f"{epoch:06}-{batch:08}.npz"
        with whole_file(file) as unfinished, open(unfinished, "wb") as stream:
            text = json.dumps({**state, _NAMES: sorted(arrays)})
            np.savez(stream, allow_pickle=False, state=np.array(text), **arrays)
            stream.flush()
            os.fsync(stream.fileno())
        for old in self.files()[_KEPT:]:
            old.unlink()

    def files(self) -> list[Path]:
        """The files, latest first."""
        return sorted(self.folder.glob("*.npz"), reverse=True)

    def seconds(self) -> float | None:
        """How long training took up to the latest one; None: it does not say, or there is none. Changes nothing."""
        for file in self.files()[:1]:
            try:
                with np.load(file, allow_pickle=False) as stored:
                    found = json.loads(str(stored["state"])).get(SECONDS)
                    return None if found is None else float(found)
            except Exception:  # a damaged archive fails in many ways, and training itself tells of it
                return None
        return None

    def latest(self) -> Checkpoint | None:
        """The latest one that is whole; damaged ones are renamed. None: there is none.

        Warns:
            UserWarning: there were damaged ones.

        Raises:
            OSError, MemoryError: a file that cannot be read now, which may be whole.
        """
        if self.folder.exists():
            remove_unfinished(self.folder)
        damaged: list[Path] = []
        for file in self.files():
            try:
                found = _read(file)
                _tell(damaged, found)
                return found
            except (OSError, MemoryError) as error:
                if getattr(error, "errno", None) != errno.EINVAL:  # which comes of seeking to a damaged offset
                    raise
            except Exception:  # a damaged archive fails in many ways
                pass
            file.rename(file.with_name(file.name + ".damaged"))
            damaged.append(file)
        _tell(damaged, None)
        return None

    def named(self, name: str) -> Checkpoint:
        """The one that another process has found to be the latest whole one.

        Raises:
            OSError: it is not there, or cannot be read.
        """
        until = time.monotonic() + _SEEN
        while True:
            try:
                return _read(self.folder / name)
            except FileNotFoundError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.5)


def _tell(damaged: list[Path], found: Checkpoint | None) -> None:
    """Says that what was trained since an earlier checkpoint is trained again."""
    if damaged:
        where = "from the beginning" if found is None else f"from the one before, {found.file.name}"
        warnings.warn(
            f"{len(damaged)} checkpoint(s) are damaged, the latest {str(damaged[0])!r} (kept as {damaged[0].name}.damaged): training goes on "
            f"{where}",
            stacklevel=3,
        )


def _read(file: Path) -> Checkpoint:
    with open(file, "rb") as stream:
        with zipfile.ZipFile(stream) as archive:
            # Before any array is read: of damaged shapes, NumPy would ask for too much memory.
            if archive.testzip() is not None:
                raise zipfile.BadZipFile(f"{str(file)!r} is damaged")
        stream.seek(0)
        with np.load(stream, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    state = json.loads(str(arrays.pop("state")))
    if state.pop(_NAMES, sorted(arrays)) != sorted(arrays):  # earlier releases wrote no names
        raise zipfile.BadZipFile(f"{str(file)!r} lacks arrays")
    return Checkpoint(file, state, arrays)
