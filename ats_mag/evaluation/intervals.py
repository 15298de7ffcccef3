"""Everything that is measured of slides, or of patients, with intervals."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from ats_mag.evaluation.bootstrap import interval, resampled
from ats_mag.evaluation.calibration import BINS, EDGES, bin_sums
from ats_mag.evaluation.measures import measures
from ats_mag.evaluation.scored_table import Scored, UndefinedMeasureWarning


def measure_level(scored: Scored, resamples: int = 2000, confidence: float = 0.95) -> dict[str, Any]:
    """Measures with bootstrap intervals over the patients.

    Args:
        scored: slides or patients.
        resamples: of the patients, each with all of its rows. 0: no intervals.
        confidence: of the percentile intervals.

    Returns:
        - `count` rows, of `patients` patients;
        - `measures`: per name of `measures.measure_names` a dict of `value`, `low`, `high` and `undefined_resamples`: how
          many resamples do not define it (a class is absent, say), on which the interval therefore does not rest;
        - `confusion`: `counts` (rows: true class, columns: predicted; of heads with several labels per slide one 2 x 2
          matrix no/yes per class), the `share` of each row, and its `low` and `high`;
        - `reliability`: per bin `from`, `to`, `count`, mean `confidence`, share `right`, its `low` and `high`.

    Warns:
        UndefinedMeasureWarning: of measures, or intervals, that are undefined, and why.
    """
    found = measures(scored)
    patients = len(np.unique(scored.patients))
    measurable = bool(len(scored))
    draws: dict[str, np.ndarray] = {}
    if patients > 1 and measurable and resamples:
        draws = resampled(scored, resamples)
    elif patients == 1 and measurable and resamples:
        warnings.warn(
            f"{scored.name}: intervals are undefined (NaN): they come from resampling patients, and there is only one",
            UndefinedMeasureWarning,
            stacklevel=2,
        )

    def bounds(name: str, value: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if name not in draws:
            return np.full(value.shape, np.nan), np.full(value.shape, np.nan), np.zeros(value.shape, int)
        low, high, undefined = interval(draws[name], confidence)
        # What the data do not define has no interval, whatever their resamples are.
        return np.where(np.isnan(value), np.nan, low), np.where(np.isnan(value), np.nan, high), undefined

    table = {}
    for name, value in found.items():
        low, high, undefined = bounds(name, np.array(value))
        table[name] = {
            "value": value,
            "low": float(low),
            "high": float(high),
            "undefined_resamples": int(undefined),
        }
    confusion, reliability = _confusion(scored), bin_sums(scored).sum(axis=0)
    with np.errstate(invalid="ignore"):
        share = confusion / confusion.sum(axis=-1, keepdims=True)
        mean = reliability[:, 1:] / reliability[:, :1]
    low, high, _ = bounds("confusion", share)
    curve = np.stack(
        [EDGES[:-1], EDGES[1:], reliability[:, 0], *mean.T, *bounds("reliability", mean[:, 1])[:2]], axis=1
    )
    keys = ("from", "to", "count", "confidence", "right", "low", "high")
    return {
        "count": len(scored),
        "patients": patients,
        "measures": table,
        "confusion": {
            "counts": confusion.tolist(),
            "share": share.tolist(),
            "low": low.tolist(),
            "high": high.tolist(),
        },
        "reliability": [dict(zip(keys, map(float, curve[b]), strict=True)) for b in range(BINS)],
    }


def _confusion(scored: Scored) -> np.ndarray:
    """Counts `(C, C)`, true by predicted; `(C, 2, 2)`, no and yes, where classes are not exclusive."""
    from sklearn import metrics

    truth, predicted = scored.truth.astype(int), scored.predicted.astype(int)
    n_classes = len(scored.classes)
    if not len(scored):
        return np.zeros((n_classes, n_classes) if scored.exclusive else (n_classes, 2, 2), int)
    if scored.exclusive:
        return metrics.confusion_matrix(truth.argmax(axis=1), predicted.argmax(axis=1), labels=range(n_classes))
    columns = zip(truth.T, predicted.T, strict=True)
    return np.stack([metrics.confusion_matrix(t, p, labels=(0, 1)) for t, p in columns])
