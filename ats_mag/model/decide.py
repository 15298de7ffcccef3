"""Which classes a model's probabilities stand for."""

from __future__ import annotations

import numpy as np

from ats_mag.cohort.label_sets import MULTI_LABEL


def decide(probabilities: np.ndarray, exclusive: bool) -> np.ndarray:
    """The classes `(..., C)` bool that probabilities `(..., C)` stand for: the most probable, or each one above 0.5."""
    if not exclusive:
        return probabilities > 0.5
    return probabilities.argmax(axis=-1)[..., None] == np.arange(probabilities.shape[-1])


def decided_label(probabilities: np.ndarray, classes: list[str], exclusive: bool) -> str:
    """The name of the class that probabilities `(C,)` stand for, or the names of all, joined by ";"; empty: none."""
    chosen = decide(probabilities, exclusive)
    return MULTI_LABEL.join(name for name, yes in zip(classes, chosen, strict=True) if yes)
