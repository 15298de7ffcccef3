"""Measures of resampled patients, thousands at once.

A resample is a weight per row: how often its patient was drawn. All resamples of a measure are then sums of products, a
hundred times quicker than as many calls of scikit-learn, whose values these are (the tests compare them).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ats_mag.evaluation.calibration import bin_sums, error_of_sums
from ats_mag.evaluation.scored_table import Scored

SEED = 0
_NUMBERS_AT_ONCE = 2**21  # bounds the memory


def resampled(scored: Scored, resamples: int) -> dict[str, np.ndarray]:
    """All measures of bootstrap resamples of the patients, each drawn with all of its rows.

    Args:
        scored: what was measured. The draws depend on the set of patients alone, not on the order of rows.
        resamples: R.

    Returns:
        Per name of `measures.measure_names` its values `(R,)`, NaN where undefined; `confusion` `(R, C, C)`, or
        `(R, C, 2, 2)` where classes are not exclusive, each row of a matrix as shares of its true class; `reliability`
        `(R, BINS)`, the share of right predictions per bin.
    """
    parts = [_measure(scored, weights) for weights in _weights(scored.patients, resamples)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _weights(patients: np.ndarray, resamples: int) -> Iterator[np.ndarray]:
    """How often each row is drawn `(r, n)`, some resamples at a time."""
    names, number = np.unique(patients, return_inverse=True)
    rng = np.random.default_rng(SEED)
    at_once = max(1, _NUMBERS_AT_ONCE // max(len(patients), 1))
    for start in range(0, resamples, at_once):
        counts = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=min(at_once, resamples - start))
        yield counts[:, number].astype(float)


def _measure(scored: Scored, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Every measure under weights `(R, n)` of the rows."""
    truth, predicted = scored.truth.astype(float), scored.predicted.astype(float)
    total = weights.sum(axis=1)
    hit, miss = weights @ (truth * predicted), weights @ (truth * (1 - predicted))
    alarm = weights @ ((1 - truth) * predicted)
    rest = total[:, None] - hit - miss - alarm
    recall, f1 = _ratio(hit, hit + miss), _ratio(2 * hit, 2 * hit + miss + alarm)
    ranks = [_ranking(scored.truth[:, c], scored.probabilities[:, c], weights) for c in range(len(scored.classes))]
    each = {"auroc": np.stack([r[0] for r in ranks], 1), "auprc": np.stack([r[1] for r in ranks], 1)}
    each |= {"recall": recall, "f1": f1}
    found = {name: each[name].mean(axis=1) for name in ("auroc", "auprc", "f1")}
    sums = np.tensordot(weights, bin_sums(scored), axes=1)
    found["ece"] = error_of_sums(sums)
    found["reliability"] = _ratio(sums[..., 2], sums[..., 0])
    if scored.exclusive:
        found["accuracy"] = hit.sum(axis=1) / total
        found["balanced_accuracy"] = recall.mean(axis=1)
        matrix = np.tensordot(weights, truth[:, :, None] * predicted[:, None, :], axes=1)
    else:
        found["accuracy"] = (hit + rest).mean(axis=1) / total
        found["balanced_accuracy"] = ((recall + _ratio(rest, rest + alarm)) / 2).mean(axis=1)
        matrix = np.stack([np.stack([rest, alarm], -1), np.stack([miss, hit], -1)], axis=-2)
    found["confusion"] = _ratio(matrix, matrix.sum(axis=-1, keepdims=True))
    for name, values in each.items():
        found |= {f"{name}_{c}": values[:, i] for i, c in enumerate(scored.classes)}
    return found


def _ranking(truth: np.ndarray, score: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Area under the ROC curve (trapezoids) and average precision, `(R,)` each, of one class against the rest."""
    order = np.argsort(-score, kind="stable")
    last = np.append(np.diff(score[order]) != 0, True)  # equal scores are passed in one step
    weights, truth = weights[:, order], truth[order]
    hits, alarms = (np.cumsum(weights * side, axis=1)[:, last] for side in (truth, ~truth))
    new_hits, new_alarms = np.diff(hits, prepend=0), np.diff(alarms, prepend=0)
    auroc = _ratio((new_alarms * (hits - new_hits / 2)).sum(axis=1), hits[:, -1] * alarms[:, -1])
    # Steps without any row have no precision, and add nothing.
    precision = np.nan_to_num(_ratio(hits, hits + alarms))
    return auroc, _ratio((new_hits * precision).sum(axis=1), hits[:, -1])


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """``part / whole``, NaN where the whole is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(whole > 0, part / whole, np.nan)


def interval(values: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Percentile intervals of resamples, over those that define the value.

    Source: Efron, "Bootstrap methods: another look at the jackknife" (Annals of Statistics 7, 1979).

    Args:
        values: `(R, ...)`, NaN where undefined.
        confidence: share between the bounds.

    Returns:
        Lower bound, upper bound (NaN where no resample defines the value) and the number of undefined resamples, `(...)`.
    """
    undefined = np.isnan(values).sum(axis=0)
    shares = np.array([(1 - confidence) / 2, (1 + confidence) / 2])
    defined = np.where(undefined == len(values), 0.0, values)  # an empty quantile would warn
    low, high = np.where(undefined == len(values), np.nan, np.nanquantile(defined, shares, axis=0))
    return low, high, undefined
