"""What attention-sampling 0.2 computes, to compare with; `test_golden.py` checks it against the library itself."""

import numpy as np


def attention_gradient_of_02(attention, features, upstream):
    """The attention gradient of attention-sampling 0.2 without replacement; biased, see docs/estimators.md."""
    a = attention.astype(np.float64)
    scores = (features.astype(np.float64) * upstream[:, None]).reshape(*a.shape, -1).sum(axis=-1)
    before = np.cumsum(a, axis=1) - a
    left = 1 - before
    weighted = a * scores
    estimator = np.cumsum(weighted, axis=1) - weighted + left * scores
    others = np.cumsum(scores, axis=1) - scores - np.arange(a.shape[1]) * scores
    return (estimator * left / a + others) / a.shape[1]
