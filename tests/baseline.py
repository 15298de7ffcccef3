"""What attention-sampling 0.2 computes, to compare with; `test_golden.py` checks it against the library itself."""

import numpy as np

from experiments.estimators.derivative_02 import derivative_of_02


def attention_gradient_of_02(attention, features, upstream):
    """The attention gradient of attention-sampling 0.2 without replacement; biased, see docs/estimators.md."""
    a = attention.astype(np.float64)
    scores = (features.astype(np.float64) * upstream[:, None]).reshape(*a.shape, -1).sum(axis=-1)
    return derivative_of_02(a, scores)
