"""Slides that turned out unreadable while training: named in a table, and counted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ats_mag.slides.errors import SlideError
from ats_mag.whole_file import write_whole


class BadSlides:
    """Notes every slide of which a patch could not be read, once, in a CSV of `slide_id`, `path`, `error`.

    Args:
        file: the CSV; slides that stand in it already are known.
        slide_ids: of the slides, by path.
        limit: more bad slides than that are too many.
        model: whose patches they are.
    """

    def __init__(self, file: Path, slide_ids: dict[str, str], limit: int, model: Any) -> None:
        self.file, self.limit = file, limit
        self._ids, self._model = slide_ids, model
        self.found: list[Any] = []
        if file.exists():
            self.found = pd.read_csv(file, dtype=str, keep_default_na=False).to_dict("records")

    def watch(self, path: Any, index: Any, geometry: Any, valid: Any) -> Any:
        """`valid`, after having noted what is not; for `SlideClassifier.on_unreadable`."""
        import tensorflow as tf

        def note() -> Any:
            with tf.device("CPU:0"):
                return tf.numpy_function(self._note, [path, index, geometry, valid], tf.bool)

        checked = tf.cond(tf.reduce_all(valid), lambda: valid, note)
        return tf.ensure_shape(checked, valid.shape)

    def check(self) -> None:
        """Raises a SlideError where there are too many."""
        if len(self.found) > self.limit:
            names = ", ".join(row["slide_id"] for row in self.found)
            raise SlideError(
                f"{len(self.found)} slides could not be read while training, more than train.max_bad_slides="
                f"{self.limit}: {names}; {str(self.file)!r} says why. Mend the files or raise train.max_bad_slides, "
                "then train again: it goes on from the last checkpoint"
            )

    def _note(self, path: np.ndarray, index: np.ndarray, geometry: np.ndarray, valid: np.ndarray) -> np.ndarray:
        known = {row["path"] for row in self.found}
        for codes, cells, place, sound in zip(path, index, geometry, valid, strict=True):
            name = os.fsdecode(codes.astype(np.uint8).tobytes().rstrip(b"\0"))
            if sound.all() or name in known:
                continue
            known.add(name)
            error = self._error(codes, cells[~sound][:1], place)
            self.found.append({"slide_id": self._ids.get(name, Path(name).stem), "path": name, "error": error})
            write_whole(self.file, pd.DataFrame(self.found).to_csv(index=False).encode())
        return valid

    def _error(self, codes: np.ndarray, cell: np.ndarray, geometry: np.ndarray) -> str:
        """What reading the patch again says."""
        from ats_mag.slides import native

        lattice = self._model.lattice
        location, downsample = map(np.asarray, lattice.place(cell[None], geometry[None]))
        size = (lattice.patch_size, lattice.patch_size)
        try:
            native.read_patches(codes[None], location, downsample, size)
        except (OSError, ValueError, RuntimeError, MemoryError) as error:
            return str(error)
        return "a patch could not be read at first; it could when tried again"
