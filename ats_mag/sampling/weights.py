"""The differentiable weights that estimate an expectation from draws of an attention distribution.

Every method yields draws i = 0..N-1 and a weight for each, and the estimate of ``Phi = sum_k a_k f_k`` is always
``sum_i weight_i * f_i``. The weight's value gives the estimate; its gradient carries the attention's gradient.
``docs/estimators.md`` derives the formulas and compares their bias and variance.

Sources: Katharopoulos & Fleuret, "Processing Megapixel Images with Deep Attention-Sampling Models" (ICML 2019), for
`replacement` and the value of `sequential`; Duffield, Lund & Thorup, "Priority sampling for estimation of arbitrary
subset sums" (J. ACM 2007), with the Gumbel form of Kool, van Hoof & Welling (ICLR 2020), for `priority`.
"""

from __future__ import annotations

import keras
from keras import ops

from ats_mag.sampling.methods import METHODS
from ats_mag.tensors import Tensor, Weight

SMALLEST_NORMAL = 1.1754944e-38  # of float32


def sample_weights(
    attention_of_samples: Tensor, method: str, threshold: Tensor | None = None, normalize: bool = True
) -> Weight:
    """The differentiable weight of each draw.

    With a the probability of the drawn cell, N the number of draws and sg() a stop of the gradient:

    - `replacement`: ``sg(1 / (N a_i)) a_i``
    - `sequential`: ``sg(c_i / a_i) a_i``, ``c_i = (pm_i + (N-1-i) a_i) / N``, ``pm_i = 1 - sum_{j<i} a_j``
    - `priority`: ``u_i / sum_j u_j``, ``u_i = a_i / sg(q_i)``, ``q_i = 1 - exp(-exp(log a_i - threshold))``;
      ``u_i`` itself when `normalize` is False
    - `topk`: ``a_i / sum_j a_j``
    - `exhaustive`: ``a_i``

    Args:
        attention_of_samples: `(B, N)` probabilities of the drawn cells, in drawing order.
        method: see `sample`.
        threshold: `(B, 1)`, needed by `priority`: the (N+1)-th largest perturbed log-probability.
        normalize: see `sample`.

    Returns:
        `(B, N)`; float64 for float64 input, else float32.

    Raises:
        ValueError: for an unknown method, or `priority` without a threshold.
    """
    a = as_float(attention_of_samples)
    check_method(method)
    safe = ops.stop_gradient(ops.where(a > 0, ops.maximum(a, SMALLEST_NORMAL), ops.ones_like(a)))
    n = a.shape[1]
    if method == "exhaustive":
        return a
    if method == "topk":
        return _normalized(a)
    if method == "replacement":
        return a / (n * safe)
    if method == "sequential":
        held = ops.stop_gradient(a)
        before = ops.cumsum(held, axis=1) - held
        # The mass that is left holds at least the cell drawn next; 1 - sum cancels in float32 where little is left.
        left = ops.maximum(1 - before, held)
        later = ops.arange(n - 1, -1, -1, dtype=a.dtype)
        return a * ((left + later * held) / (n * safe))
    if threshold is None:
        raise ValueError("method='priority' needs the `threshold` of the draw, `(B, 1)`. Received: None")
    inclusion = -ops.expm1(-ops.exp(ops.log(safe) - ops.stop_gradient(as_float(threshold))))
    u = a / ops.maximum(inclusion, SMALLEST_NORMAL)
    return _normalized(u) if normalize else u


def as_float(x: Tensor) -> Tensor:
    """`x` as float64 when it is float64, else as float32: half precision holds neither tiny nor near-equal masses."""
    x = ops.convert_to_tensor(x)
    return x if keras.backend.standardize_dtype(x.dtype) == "float64" else ops.cast(x, "float32")


def _normalized(u: Tensor) -> Tensor:
    """`(B, N)` divided by the sum of each row; rows of zeros stay."""
    total = ops.sum(u, axis=1, keepdims=True)
    # 1 rather than a tiny number where nothing has mass: its square, in the gradient, must not underflow.
    return u / ops.where(total > 0, total, ops.ones_like(total))


def check_method(method: str) -> None:
    """Raises a ValueError for a method that is none of `METHODS`."""
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}. Received: method={method!r}")
