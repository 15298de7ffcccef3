"""What is measured of every contestant: validation after each epoch, and the scores of the test slides."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from ats_mag.evaluation.measures import measures
from ats_mag.evaluation.scored_table import Scored
from data_prep.three_scale_slides.layout import CLASSES
from experiments.three_scales.data import Cohort

TEST_BATCH = 20


class Watch(keras.callbacks.Callback):
    """Validates after each epoch, and keeps the history."""

    def __init__(self, predict: Callable[[], np.ndarray], labels: np.ndarray) -> None:
        super().__init__()
        self.predict, self.labels = predict, labels
        self.history: list[dict[str, float]] = []
        self.seconds = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.begun = time.process_time()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.seconds += time.process_time() - self.begun
        found = score(self.labels, self.predict())
        row = {"epoch": epoch + 1, "processor_seconds": round(self.seconds, 2)}
        row |= {name: round(float(value), 5) for name, value in (logs or {}).items()}
        row |= {f"validation_{name}": round(value, 5) for name, value in found.items()}
        self.history.append(row)
        if epoch % 4 == 3:
            print(
                " ", {key: row[key] for key in ("epoch", "loss", "validation_loss", "validation_accuracy")}, flush=True
            )


def score(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """Accuracy, AUC (mean of one class against the rest) and mean cross-entropy."""
    truth = np.eye(len(CLASSES), dtype=bool)[labels]
    scored = Scored("slides", "slide", list(CLASSES), truth, probabilities, np.arange(len(labels)))
    found = measures(scored, warn=False)
    loss = -np.log(np.maximum(probabilities[truth], 1e-7)).mean()
    return {"accuracy": found["accuracy"], "auc": found["auroc"], "loss": float(loss)}


def result(cohort: Cohort, watch: Watch, probabilities: np.ndarray, **more: Any) -> dict[str, Any]:
    """The scores of the test slides, `more`, and how the training went."""
    return {
        **tested(cohort, probabilities),
        **more,
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "history": watch.history,
    }


def tested(cohort: Cohort, probabilities: np.ndarray) -> dict[str, Any]:
    """Scores of the test slides, and what they are made from."""
    labels = cohort.labels["test"]
    found = {"test": score(labels, probabilities), "test_labels": labels.tolist()}
    return found | {"test_probabilities": probabilities.round(5).tolist()}
