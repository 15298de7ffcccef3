"""The attention gradient of attention-sampling 0.2, drawn without replacement, in NumPy; `docs/estimators.md` tells its bias."""

from __future__ import annotations

import numpy as np

METHOD_02 = "attention-sampling 0.2"


def derivative_of_02(drawn: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """By the drawn cells' attention, as attention-sampling 0.2 computes it; `(B, N)`, `(B, N)` -> `(B, N)`."""
    n = drawn.shape[1]
    before = np.cumsum(drawn, axis=1) - drawn
    weighted = drawn * scores
    estimator = np.cumsum(weighted, axis=1) - weighted + (1 - before) * scores
    others = np.cumsum(scores, axis=1) - scores - np.arange(n) * scores
    return (estimator * (1 - before) / drawn + others) / n
