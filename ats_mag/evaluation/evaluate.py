"""Predicting prepared records, and measuring the predictions."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ats_mag.slides.local_copies import LocalCopies

if TYPE_CHECKING:
    from ats_mag.models import SlideClassifier


def evaluate(
    model: SlideClassifier,
    records: list[dict[str, Any]],
    slide_root: str | os.PathLike[str],
    copies: LocalCopies | None = None,
) -> Any:
    """Predicts records and measures the predictions.

    Args:
        model: to evaluate.
        records: as `find_records` gives them.
        slide_root: folder that the records' paths are relative to.
        copies: where to copy slides to ahead of their use; None: they are read where they are.

    Returns:
        A table with a row per slide (`slide_id`, `patient_id`, `label`, one probability per class), and a dict of
        `slides`, `accuracy`, `balanced_accuracy` (single label and binary) and `auc` (macro, one against the rest; NaN
        where a class is absent).

    Raises:
        RecordError: a label that the model does not know.
    """
    from ats_mag.records import dataset, encode_label
    from ats_mag.slides.errors import plain_errors

    multi = model.head_kind == "multi_label"
    truth = np.stack([encode_label(r["label"], model.classes, multi, r["slide_id"]) for r in records])
    data = dataset(records, slide_root, None, multiple=max(64, model.lattice.stride), local_copies=copies)
    with plain_errors():
        probabilities = class_probabilities(model.head_kind, model.predict(data, verbose=0))
    table = pd.DataFrame({name: [r[name] for r in records] for name in ("slide_id", "patient_id", "label")})
    for i, name in enumerate(model.classes):
        table[f"p_{name}"] = probabilities[:, i]
    return table, measure(truth, probabilities)


def class_probabilities(head: str, outputs: np.ndarray) -> np.ndarray:
    """A model's outputs as `(B, C)`, one column per class for `binary`, too."""
    outputs = np.asarray(outputs)
    return np.concatenate([1 - outputs, outputs], axis=1) if head == "binary" else outputs


def measure(truth: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """Metrics of probabilities `(B, C)` against class numbers `(B,)` or 0/1 vectors `(B, C)`."""
    from sklearn import metrics

    n_classes = probabilities.shape[1]
    single = truth.ndim == 1
    onehot = np.eye(n_classes)[truth] if single else truth
    varied = [c for c in range(n_classes) if 0 < onehot[:, c].sum() < len(onehot)]
    auc = float("nan")
    if len(varied) == n_classes:
        auc = float(np.mean([metrics.roc_auc_score(onehot[:, c], probabilities[:, c]) for c in varied]))
    found: dict[str, float] = {"slides": len(truth)}
    if single:
        predicted = probabilities.argmax(axis=1)
        found["accuracy"] = float(metrics.accuracy_score(truth, predicted))
        recalls = [float((predicted[truth == c] == c).mean()) for c in np.unique(truth)]
        found["balanced_accuracy"] = float(np.mean(recalls))
    else:
        found["accuracy"] = float(((probabilities > 0.5) == (onehot > 0.5)).mean())
    return {**found, "auc": auc}
