"""How far the trainings of a run are, read from its files, whoever is at them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ats_mag.system.lock import holder_of

if TYPE_CHECKING:
    from ats_mag.runs.run import Run


@dataclass(frozen=True)
class FoldState:
    """How far a fold is.

    Attributes:
        fold: its number.
        status: `waiting` (nothing is there), `training`, `interrupted` (nobody is at it), `trained` or `measured`.
        epochs: that are complete.
        holder: who trains it, such as "process 7 on node3"; "": nobody, as far as the file system tells.
    """

    fold: int
    status: Literal["waiting", "training", "interrupted", "trained", "measured"]
    epochs: int
    holder: str = ""


def fold_state(run: Run, fold: int) -> FoldState:
    """How far a fold of a run is."""
    files = run.layout.fold(fold)
    epochs = _rows(files.history.read_bytes()) if files.history.exists() else 0
    if files.is_trained:
        return FoldState(fold, "measured" if files.metrics.exists() else "trained", epochs)
    holder = holder_of(files.lock)
    if holder is not None:
        return FoldState(fold, "training", epochs, holder)
    begun = files.folder.exists() and any(path.is_file() for path in files.folder.rglob("*"))
    return FoldState(fold, "interrupted" if begun else "waiting", epochs)


def _rows(table: bytes) -> int:
    return max(0, table.count(b"\n") - 1)
