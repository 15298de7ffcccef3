"""Slides that turned out unreadable while training: named in a table, and counted."""

from __future__ import annotations

import itertools
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ats_mag.slides.copies.local_copies import LocalCopies
from ats_mag.slides.errors import SlideError
from ats_mag.system.atomic_files import write_whole
from ats_mag.system.kept_tables import read_kept
from ats_mag.tensors import Geometry, Index, PathCodes, ReadablePatches

if TYPE_CHECKING:
    from ats_mag.model.classifier import SlideClassifier
    from ats_mag.training.hosts.hosts import Hosts


class BadSlides:
    """Notes every slide of which a patch could not be read, once, in a CSV of `slide_id`, `path`, `error`.

    Args:
        file: the CSV; what stands in it already stays there, and does not count: the slide may have been mended.
        slide_ids: of the slides, by path.
        limit: more bad slides than that are too many.
        model: whose patches they are.
        copies: local copies that the patches are read from; None: from the slides themselves.
        hosts: that train together: each finds its own, and the first one writes what all found. None: this process alone.
    """

    def __init__(
        self,
        file: Path,
        slide_ids: dict[str, str],
        limit: int,
        model: SlideClassifier,
        copies: LocalCopies | None = None,
        hosts: Hosts | None = None,
    ) -> None:
        self.file, self.limit, self._hosts = file, limit, hosts
        self._ids, self._model = slide_ids, model
        self._sources = {} if copies is None else copies.sources
        self._lock = threading.Lock()  # parts of a batch may be read side by side
        self.found: list[dict[str, str]] = []
        self._shared: set[str] = set()  # paths that all hosts know of
        self._rows: dict[str, dict[str, str]] = {}
        if file.exists():
            mend = "bring back a copy of it, or remove it"
            table = read_kept(file, ["path"], mend, dtype=str, keep_default_na=False)
            self._rows = {row["path"]: {str(k): v for k, v in row.items()} for row in table.to_dict("records")}

    def note_unreadable(
        self, path: PathCodes, index: Index, geometry: Geometry, valid: ReadablePatches
    ) -> ReadablePatches:
        """`valid`, after having noted what is not; for `SlideClassifier.on_unreadable`."""
        import tensorflow as tf

        def note() -> ReadablePatches:
            with tf.device("CPU:0"):
                return tf.numpy_function(self._note, [path, index, geometry, valid], tf.bool)

        checked = tf.cond(tf.reduce_all(valid), lambda: valid, note)
        return tf.ensure_shape(checked, valid.shape)

    def check(self) -> None:
        """Raises a SlideError where there are too many; hosts that train together must all ask."""
        self._share()
        if len(self.found) > self.limit:
            names = ", ".join(row["slide_id"] for row in self.found)
            raise SlideError(
                f"{len(self.found)} slides could not be read while training, more than train.max_bad_slides="
                f"{self.limit}: {names}; {str(self.file)!r} says why. Mend the files or raise train.max_bad_slides, "
                "then train again: it goes on from the last checkpoint"
            )

    def _share(self) -> None:
        """Has every host know what all have found."""
        if self._hosts is None:
            return
        with self._lock:
            mine = [row for row in self.found if row["path"] not in self._shared]
        rows = list(itertools.chain(*self._hosts.gather("bad slides", mine)))
        with self._lock:
            known = {row["path"] for row in self.found}
            self.found += [row for row in rows if row["path"] not in known]
            self._rows |= {row["path"]: row for row in rows}
            self._shared |= {row["path"] for row in rows}
            if rows and self._hosts.chief:
                self._write()

    def _write(self) -> None:
        write_whole(self.file, pd.DataFrame(self._rows.values()).to_csv(index=False).encode(errors="surrogateescape"))

    def _note(self, path: np.ndarray, index: np.ndarray, geometry: np.ndarray, valid: np.ndarray) -> np.ndarray:
        with self._lock:
            for codes, cells, place, sound in zip(path, index, geometry, valid, strict=True):
                name = os.fsdecode(codes.astype(np.uint8).tobytes().rstrip(b"\0"))
                name = self._sources.get(name, name)
                if sound.all() or any(row["path"] == name for row in self.found):
                    continue
                error = self._error(codes, cells[~sound][:1], place)
                row = {"slide_id": self._ids.get(name, Path(name).stem), "path": name, "error": error}
                self.found.append(row)
                if self._hosts is None:
                    self._rows[name] = row
                    self._write()
        return valid

    def _error(self, codes: np.ndarray, cell: np.ndarray, geometry: np.ndarray) -> str:
        """What reading the patch again says."""
        from ats_mag.slides import numpy_reader

        lattice, reader = self._model.lattice, self._model.reader
        size = (lattice.patch_size, lattice.patch_size)
        try:
            place = reader.place_cells(lattice, codes[None], cell[None], geometry[None])
            location, downsample = map(np.asarray, place)
            numpy_reader.read_patches(codes[None], location, downsample, size)
        except (OSError, ValueError, RuntimeError, MemoryError) as error:
            return str(error)
        return "a patch could not be read at first; it could when tried again"
