"""Intervals of what is measured on the same slides with several seeds."""

from __future__ import annotations

import numpy as np

from ats_mag.evaluation.bootstrap import interval

RESAMPLES = 4000


def mean_interval(values: np.ndarray) -> tuple[float, float, float]:
    """The mean of `(seeds, slides)` and its 95 % interval: a bootstrap that draws seeds and slides anew."""
    rng = np.random.default_rng(0)
    n_seeds, n_slides = values.shape
    drawn = [
        values[rng.integers(n_seeds, size=n_seeds)][:, rng.integers(n_slides, size=n_slides)].mean()
        for _ in range(RESAMPLES)
    ]
    low, high, _ = interval(np.array(drawn), 0.95)
    return float(values.mean()), float(low), float(high)
