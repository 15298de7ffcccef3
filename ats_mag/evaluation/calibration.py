"""Whether probabilities are as often right as they say."""

from __future__ import annotations

import numpy as np

from ats_mag.evaluation.scored_table import Scored

BINS = 15
EDGES = np.linspace(0, 1, BINS + 1)


def confidences(scored: Scored) -> tuple[np.ndarray, np.ndarray]:
    """What was predicted with which confidence, and whether it was right.

    Where classes are exclusive, a row's prediction is its most probable class, the confidence that class's probability.
    Else every class of a row counts as a prediction of its own: the confidence is the probability that the row has the
    class, right means that it has.

    Returns:
        Confidence and right (0 or 1), `(n, 1)`, or `(n, C)` where classes are not exclusive.
    """
    if not scored.exclusive:
        return scored.probabilities, scored.truth.astype(float)
    right = (scored.truth & scored.predicted).any(axis=1)
    return scored.probabilities.max(axis=1, keepdims=True), right.astype(float)[:, None]


def bin_sums(scored: Scored) -> np.ndarray:
    """What each row adds to each bin of confidence.

    The `BINS` = 15 bins are of equal width, (0, 1/15], ..., (14/15, 1]; 0 itself is in the first.

    Returns:
        `(n, BINS, 3)`: predictions, the sum of their confidences, and how many were right.
    """
    confidence, right = confidences(scored)
    inside = np.digitize(confidence, EDGES[1:-1], right=True)[..., None] == np.arange(BINS)
    terms = np.stack([np.ones_like(confidence), confidence, right], axis=-1)
    return np.einsum("nkb,nkt->nbt", inside.astype(float), terms)


def error_of_sums(sums: np.ndarray) -> np.ndarray:
    """The expected calibration error `(...)` of bins' sums `(..., BINS, 3)`."""
    return np.abs(sums[..., 2] - sums[..., 1]).sum(axis=-1) / sums[..., 0].sum(axis=-1)


def expected_calibration_error(scored: Scored) -> float:
    """Mean absolute difference of confidence and accuracy over the bins, weighted by their predictions.

    ``ECE = sum_b n_b / n |accuracy_b - confidence_b|`` with 15 bins of equal width: Guo, Pleiss, Sun & Weinberger, "On
    Calibration of Modern Neural Networks" (ICML 2017), section 2. With few rows it is too large on average, even of a
    calibrated model, and in bootstrap resamples more so.
    """
    return float(error_of_sums(bin_sums(scored).sum(axis=0)))
