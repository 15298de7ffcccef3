"""Attention sampling: joint, of one magnification, or uniform."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from experiments.three_scales.data import Cohort, on_places
from experiments.three_scales.model import classifier, fit
from experiments.three_scales.scores import TEST_BATCH, Watch, result, score
from experiments.three_scales.settings import Settings

UNIFORM_PASSES = 5


def sampled(cohort: Cohort, settings: Settings, path: Path) -> dict[str, Any]:
    """A `SlideClassifier`; its model is kept in `path`."""
    data = cohort.training(settings.batch_size, settings.seed)
    steps = -(-len(cohort.records["train"]) // settings.batch_size)
    model = classifier(settings)
    validation, test = (cohort.dataset(split, TEST_BATCH) for split in ("validation", "test"))
    watch = Watch(lambda: model.predict(validation, verbose=0), cohort.labels["validation"])
    fit(model, data, settings, steps, [watch])
    path.parent.mkdir(parents=True, exist_ok=True)
    model.save(path)
    passes = [model.predict(test, verbose=0) for _ in range(UNIFORM_PASSES if settings.uniform else 1)]
    maps = [one for inputs, _ in test for one in model.attend(inputs).numpy()]
    more: dict[str, Any] = {
        "passes": [score(cohort.labels["test"], one) for one in passes],
        "places": on_places(cohort, "test", maps, model.lattice),
        "magnification_mass": np.mean([one.sum((0, 1)) for one in maps], axis=0).tolist(),
        "patches_per_slide": settings.n_patches,
        "cells_per_slide": float(np.mean([(one > 0).sum() for one in maps])),
    }
    if not settings.uniform:
        model.test_method = "exhaustive"
        exact = model.predict(test, verbose=0)
        more["exhaustive"] = {
            **score(cohort.labels["test"], exact),
            "same_class": float((exact.argmax(1) == passes[0].argmax(1)).mean()),
            "mean_difference": float(np.abs(exact - passes[0]).max(1).mean()),
        }
    return result(cohort, watch, passes[0], **more)
