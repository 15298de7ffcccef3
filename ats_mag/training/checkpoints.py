"""Files of everything that a training run is made of at one moment; the last two are kept."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from ats_mag.whole_file import remove_unfinished, whole_file

_KEPT = 2


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
            np.savez(stream, allow_pickle=False, state=np.array(json.dumps(state)), **arrays)
            stream.flush()
            os.fsync(stream.fileno())
        for old in self.files()[_KEPT:]:
            old.unlink()

    def files(self) -> list[Path]:
        """The files, latest first."""
        return sorted(self.folder.glob("*.npz"), reverse=True)

    def latest(self) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
        """State and arrays of the latest one that is whole; damaged ones are removed. None: there is none."""
        if self.folder.exists():
            remove_unfinished(self.folder)
        for file in self.files():
            try:
                with np.load(file, allow_pickle=False) as stored:
                    arrays = {name: stored[name] for name in stored.files}  # their checksums are looked at here
                return json.loads(str(arrays.pop("state"))), arrays
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
                file.unlink(missing_ok=True)
        return None
