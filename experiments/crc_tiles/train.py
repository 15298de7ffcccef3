"""Trains the model from the slide files, and measures it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
from rich.console import Console
from sklearn.metrics import roc_auc_score

from experiments.crc_tiles.auc import measure
from experiments.crc_tiles.data import Cohort, place_mass, read_share
from experiments.crc_tiles.model import classifier
from experiments.crc_tiles.settings import CLASSES, Attention

console = Console()


class _Progress(keras.callbacks.Callback):
    """Prints a line per epoch: loss, AUC, entropy and, as a watch that training never sees, attention on the places."""

    def __init__(self, cohort: Cohort) -> None:
        super().__init__()
        self.cohort = cohort
        self.history: list[dict[str, float]] = []
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        values = {name: round(float(value), 4) for name, value in (logs or {}).items()}
        inputs, _ = next(iter(self.cohort.dataset("train")))
        attention = self.model.attend(inputs).numpy()
        on_places = place_mass(self.cohort, "train", attention).sum(-1).mean()
        values |= {"train_on_places": round(float(on_places), 4), "seconds": round(time.perf_counter() - self.start)}
        self.history.append({"step": int(self.model.optimizer.iterations), **values})
        console.print(self.history[-1])


def train(cohort: Cohort, path: Path, attention: Attention = "learnt") -> dict[str, Any]:
    """Trains a classifier from the slide files, keeps it in `path`, and measures it on the test slides.

    Uniform attention draws at random at test, too: `auc` is then the mean of several passes, `auc_95` the first one's.
    """
    settings = cohort.settings
    model = classifier(settings, attention)
    progress = _Progress(cohort)
    per_epoch = min(20, settings.steps)
    model.fit(
        cohort.dataset("train", shuffle=True),
        epochs=settings.steps // per_epoch,
        steps_per_epoch=per_epoch,
        shuffle=False,  # the dataset does
        callbacks=[progress],
        verbose=0,
    )
    seconds = time.perf_counter() - progress.start
    path.parent.mkdir(parents=True, exist_ok=True)
    model.save(path)
    n_passes = settings.uniform_passes if attention == "uniform" else 1
    passes = [model.predict(cohort.dataset("test"), verbose=0)[:, 0] for _ in range(n_passes)]
    results = [measure(cohort.labels["test"], scores) for scores in passes]
    result = results[0] | {"auc": float(np.mean([r["auc"] for r in results])), "passes": [r["auc"] for r in results]}
    result["auc_of_mean_score"] = float(roc_auc_score(cohort.labels["test"], np.mean(passes, axis=0)))
    maps = [a for inputs, _ in cohort.dataset("test") for a in model.attend(inputs).numpy()]
    by_magnification = np.mean([a.sum((0, 1)) for a in maps], axis=0).tolist()
    on_places = place_mass(cohort, "test", maps)
    return result | {
        "attention_on_places": float(on_places.sum(-1).mean()),
        "attention_on_places_by_class": {
            name: float(on_places[cohort.labels["test"] == i].sum(-1).mean()) for i, name in enumerate(CLASSES)
        },
        "magnification_mass": dict(zip(map(str, settings.magnifications), by_magnification, strict=True)),
        "read_per_step": read_share(cohort, "train"),
        "training_seconds": round(seconds),
        "cache": {"patches": model.feature_cache.counts.asked, "known": model.feature_cache.counts.rate},
        "history": progress.history,
    }
