"""What the course of a training says of whether anything was learnt, and what to try where it was not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ats_mag.cohort.splits import part_of
from ats_mag.model.attention_words import SPREAD, UNIFORM, in_words, masses_of
from ats_mag.sampling.methods import EXHAUSTIVE
from ats_mag.system.kept_tables import read_kept
from ats_mag.training.best_epoch import BestEpoch
from ats_mag.training.method_of_testing import BEARABLE_CELLS
from ats_mag.training.settings import monitored

if TYPE_CHECKING:
    from ats_mag.runs.run import Run

LEARNT = 0.95  # of the cross-entropy of guessing: above it nothing is learnt
BY_HEART = 0.25  # of it: below, the training slides are known
COLLAPSED = 0.98  # of the attention, on one magnification
CROSS_ENTROPY = "cross_entropy"
_TESTED = {
    EXHAUSTIVE: "testing reads all of it",
    None: f"testing reads all of it where no slide has more than {BEARABLE_CELLS} cells",
}  # of a uniform attention, by the method of testing


def guessing(labels: pd.Series) -> float:
    """The cross-entropy of who knows only how common each label is, in nats."""
    share = labels.value_counts(normalize=True).to_numpy()
    return float(-(share * np.log(share)).sum())


def verdict(history: pd.DataFrame, epoch: int, guess: float | None, method: str | None = None) -> list[str]:
    """What is amiss with a training, a sentence or two each; empty where nothing is.

    Args:
        history: as `history.csv` holds it, a row per epoch.
        epoch: the row whose weights the model has.
        guess: the cross-entropy of guessing the training labels, see `guessing`. None: unknown, or labels are sets.
        method: of testing; None: what `method_of_testing` says.
    """
    row: Mapping[Any, Any] = history.iloc[epoch].to_dict()
    found = []
    train, validated = row.get(CROSS_ENTROPY), row.get(f"val_{CROSS_ENTROPY}")
    if guess and train is not None:
        if train > LEARNT * guess:
            found.append(
                f"nothing was learnt: the training slides are told no better than by guessing (cross-entropy {train:.3g}, of "
                f"guessing {guess:.3g}). Check that labels belong to their slides; try more epochs, another encoder, "
                "magnifications at which a pathologist would see it, or a higher model.saliency"
            )
        elif validated is not None and train < BY_HEART * guess and validated > LEARNT * guess:
            found.append(
                f"the training slides are known by heart, and the validation slides are guessed (cross-entropy {train:.3g} and "
                f"{validated:.3g}, of guessing {guess:.3g}). More slides help most; else fewer epochs, a smaller model.adapter, "
                "or train.hold_attention: 1"
            )
    spread, masses = row.get(SPREAD), masses_of(row)
    if spread is not None and spread >= UNIFORM:
        tested = _TESTED.get(method, "test with `exhaustive` or with more patches")
        found.append(
            f"the attention is nearly uniform (over {100 * spread:.0f} % of the cells): it was not taught where to look, and what is "
            f"predicted rests on all of the tissue; {tested}. For an attention that chooses, try more epochs or a higher model.saliency"
        )
    most = max(masses, key=lambda mpp: masses[mpp], default="")
    if len(masses) > 1 and masses[most] >= COLLAPSED:
        found.append(
            f"all attention is on one magnification, {most} um/px. If that surprises you, raise train.magnification_entropy or "
            "model.auxiliary; if not, a run with that magnification alone is faster"
        )
    return found


def fold_verdict(run: Run, fold: int) -> list[str]:
    """What is amiss with the training of a fold, see `verdict`; empty also where its history is not there."""
    file = run.layout.fold(fold).history
    if not file.exists():
        return []
    history = _read_history(file)
    labels = run.splits.set_index("slide_id")["label"].loc[part_of(run.splits, fold, "train")]
    method = run.config.evaluate.method or run.config.model.test_method
    return verdict(history, _model_epoch(run, history), None if run.multi_label else guessing(labels), method)


def fold_attention(run: Run, fold: int) -> str | None:
    """Where the attention of a fold's model was on its training slides, in words. None: that is not known."""
    row = _model_row(run, fold)
    return in_words(row[SPREAD], masses_of(row)) if SPREAD in row else None


def fold_spread(run: Run, fold: int) -> float | None:
    """The spread of the attention of a fold's model on its training slides. None: that is not known."""
    return _model_row(run, fold).get(SPREAD)


def _model_row(run: Run, fold: int) -> dict[Any, Any]:
    """Of the history, the epoch whose weights the model has; empty where there is none."""
    file = run.layout.fold(fold).history
    if not file.exists():
        return {}
    history = _read_history(file)
    return history.iloc[_model_epoch(run, history)].to_dict()


def _read_history(file: Path) -> pd.DataFrame:
    """The epochs of a training.

    Raises:
        ValueError: the file is damaged.
    """
    return read_kept(file, ["loss"], "bring back a copy of it, or remove it to do without what training said")


def _model_epoch(run: Run, history: pd.DataFrame) -> int:
    validated = any(str(name).startswith("val_") for name in history)
    return model_epoch(history, monitored(run.config, validated))


def model_epoch(history: pd.DataFrame, monitor: str | None) -> int:
    """The row of a history whose weights the model has, see `TrainConfig.monitor`."""
    if monitor is None:
        return len(history) - 1
    best = BestEpoch(monitor)
    rows: list[Any] = history.to_dict("records")
    for i, row in enumerate(rows):
        best.better(i, row)
    return best.epoch
