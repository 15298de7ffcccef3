"""Draws from an attention distribution, and the differentiable weights that estimate an expectation from them.

Every method yields draws i = 0..N-1 and, per draw, a weight, and the estimate of ``Phi = sum_k a_k f_k`` is always
``sum_i weight_i * f_i``. The weight's value gives the estimate; its gradient carries the attention's gradient.
``docs/estimators.md`` derives the formulas and compares their bias and variance.

Sources: Katharopoulos & Fleuret, "Processing Megapixel Images with Deep Attention-Sampling Models" (ICML 2019), for
`replacement` and the value of `sequential`; Duffield, Lund & Thorup, "Priority sampling for estimation of arbitrary
subset sums" (J. ACM 2007), with the Gumbel form of Kool, van Hoof & Welling (ICLR 2020), for `priority`.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import keras
from keras import ops

GUMBEL_METHODS = ("sequential", "priority")
STOCHASTIC_METHODS = ("replacement", *GUMBEL_METHODS)
METHODS = (*STOCHASTIC_METHODS, "topk", "exhaustive")

_SMALLEST_NORMAL = 1.1754944e-38  # of float32
# Uniform numbers are kept strictly inside (0, 1), so that -log(-log(u)) is finite in float32.
_LARGEST_UNIFORM = 1.0 - 2.0**-24


class Samples(NamedTuple):
    """Draws from a batch of attention maps, in drawing order.

    Attributes:
        index: `(B, N, len(space))` int32, the cell of each draw.
        attention: `(B, N)`, the probability of each drawn cell.
        weight: `(B, N)`, its differentiable weight; exactly 0 for surplus draws of a slide with fewer than N cells.
        threshold: `(B, 1)`, the log-probability threshold of `priority`, else None; `(B, M)`, one per stratum, where
            the draws are stratified.
    """

    index: Any
    attention: Any
    weight: Any
    threshold: Any | None = None


def sample(
    attention: Any,
    n_samples: int | None,
    method: str = "sequential",
    seed: int | keras.random.SeedGenerator | None = None,
    noise: Any | None = None,
    normalize: bool = True,
    stratify: bool = False,
) -> Samples:
    """Draws `n_samples` cells per slide and weighs them.

    Args:
        attention: `(B, *space)` probabilities that sum to 1 per slide.
        n_samples: N. `exhaustive` takes every cell whatever N is, and accepts None.
        method: one of `replacement`, `sequential`, `priority`, `topk`, `exhaustive`.
        seed: of the draw: an int, a `keras.random.SeedGenerator`, or None for Keras' global generator.
        noise: uniform(0, 1) numbers that replace the random draw: `(B, prod(space))` for `sequential` and `priority`
            (Gumbel), `(B, N)` for `replacement` (inverse of the cumulative distribution).
        normalize: of `priority` only: whether the weights are made to sum to 1. False is exactly unbiased.
        stratify: draw within each entry of the last axis (each magnification) separately, N / M draws in each, with
            weights ``a_m * weight within m`` where a_m is the mass of m. As unbiased as the method itself, and no
            magnification goes unseen however little mass it has.

    Returns:
        `Samples`. The draws carry no gradient; `attention` and `weight` do.

    Raises:
        ValueError: for an unknown method, N < 1, N larger than the lattice, noise of the wrong shape, or fewer draws
            than strata.
    """
    attention = as_float(attention)
    if stratify and method != "exhaustive" and attention.shape[-1] > 1:
        return _sample_strata(attention, n_samples, method, seed, noise, normalize)
    space = tuple(attention.shape[1:])
    if not space:
        raise ValueError(f"attention must have the shape (B, *space). Received: shape {tuple(attention.shape)}")
    n_cells = None if any(side is None for side in space) else math.prod(space)
    _check_arguments(n_samples, n_cells, method, noise)
    flat = ops.reshape(attention, (ops.shape(attention)[0], n_cells if n_cells is not None else -1))

    threshold = None
    if method == "replacement":
        if noise is None:
            noise = keras.random.uniform((ops.shape(flat)[0], n_samples), dtype=flat.dtype, seed=seed)
        cell = _inverse_cdf(ops.stop_gradient(flat), ops.cast(noise, flat.dtype), n_cells)
    elif method in GUMBEL_METHODS:
        if noise is None:
            noise = keras.random.uniform(ops.shape(flat), dtype=flat.dtype, seed=seed)
        cell, threshold = _gumbel_top(ops.stop_gradient(flat), ops.cast(noise, flat.dtype), n_samples, n_cells)
    else:
        cell = ops.top_k(ops.stop_gradient(flat), n_samples if method == "topk" else ops.shape(flat)[1])[1]
    cell = ops.cast(cell, "int32")

    drawn = ops.take_along_axis(flat, cell, axis=1)
    threshold = threshold if method == "priority" else None
    weight = sample_weights(drawn, method, threshold, normalize)
    return Samples(unravel(cell, ops.shape(attention)[1:]), drawn, weight, threshold)


def sample_weights(attention_of_samples: Any, method: str, threshold: Any | None = None, normalize: bool = True) -> Any:
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
    _check_method(method)
    safe = ops.stop_gradient(ops.where(a > 0, ops.maximum(a, _SMALLEST_NORMAL), ops.ones_like(a)))
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
    u = a / ops.maximum(inclusion, _SMALLEST_NORMAL)
    return _normalized(u) if normalize else u


def as_float(x: Any) -> Any:
    """`x` as float64 when it is float64, else as float32: half precision holds neither tiny nor near-equal masses."""
    x = ops.convert_to_tensor(x)
    return x if keras.backend.standardize_dtype(x.dtype) == "float64" else ops.cast(x, "float32")


def _sample_strata(
    attention: Any, n_samples: Any, method: str, seed: Any, noise: Any | None, normalize: bool
) -> Samples:
    n_strata = attention.shape[-1]
    _check_arguments(n_samples, None, method, noise)
    if n_samples < n_strata:
        raise ValueError(
            f"stratified sampling needs at least one draw for each of the {n_strata} strata. "
            f"Received: n_samples={n_samples}"
        )
    mass = ops.sum(attention, axis=tuple(range(1, len(attention.shape) - 1)))
    noise_of_cells = None
    if noise is not None and method != "replacement":
        noise_of_cells = ops.reshape(noise, (ops.shape(attention)[0], -1, n_strata))
    parts, first = [], 0
    for stratum in range(n_strata):
        n = n_samples // n_strata + (stratum < n_samples % n_strata)
        here = mass[:, stratum]
        # Scaled by a constant first: the gradient of a division by a differentiable tiny mass would overflow.
        scale = ops.stop_gradient(ops.maximum(here, _SMALLEST_NORMAL))
        within = attention[..., stratum] / ops.reshape(scale, (-1, *[1] * (len(attention.shape) - 2)))
        total = ops.sum(within, axis=tuple(range(1, len(within.shape))), keepdims=True)
        within = within / ops.where(total > 0, total, ops.ones_like(total))
        if noise is None:
            noise_here = None
        else:
            noise_here = noise[:, first : first + n] if noise_of_cells is None else noise_of_cells[..., stratum]
        own_seed = seed + stratum if isinstance(seed, int) else seed  # a number draws the same wherever it is used
        part = sample(within, n, method, own_seed, noise_here, normalize)
        index = ops.concatenate([part.index, ops.full_like(part.index[..., :1], stratum)], axis=-1)
        here = here[:, None]
        parts.append(Samples(index, part.attention * here, part.weight * here, part.threshold))
        first += n
    joined = [ops.concatenate([part[i] for part in parts], axis=1) for i in range(3)]
    threshold = ops.concatenate([p.threshold for p in parts], axis=1) if method == "priority" else None
    return Samples(joined[0], joined[1], joined[2], threshold)


def _normalized(u: Any) -> Any:
    total = ops.sum(u, axis=1, keepdims=True)
    # 1 rather than a tiny number where nothing has mass: its square, in the gradient, must not underflow.
    return u / ops.where(total > 0, total, ops.ones_like(total))


def perturb(flat: Any, noise: Any) -> Any:
    """Log-probabilities plus standard Gumbel noise, made of uniform numbers; -inf where the probability is 0.

    Taken from the largest down, these are weighted draws without replacement.
    """
    noise = ops.clip(noise, _SMALLEST_NORMAL, _LARGEST_UNIFORM)
    possible = flat > 0
    log_probability = ops.log(ops.where(possible, flat, ops.ones_like(flat)))
    return ops.where(possible, log_probability - ops.log(-ops.log(noise)), -math.inf)


def _gumbel_top(flat: Any, noise: Any, n: Any, n_cells: int | None) -> tuple[Any, Any]:
    """The N cells of the largest perturbed log-probability, and the (N+1)-th largest itself."""
    perturbed = perturb(flat, noise)
    if n_cells == n:
        return ops.top_k(perturbed, n)[1], ops.full_like(perturbed[:, :1], -math.inf)
    if n_cells is None:  # perhaps no more than n: a last entry that cannot be drawn stands in for the (n+1)-th
        perturbed = ops.pad(perturbed, [(0, 0), (0, 1)], constant_values=-math.inf)
    values, cells = ops.top_k(perturbed, n + 1)
    return ops.minimum(cells[:, :n], ops.shape(flat)[1] - 1), values[:, n:]


def _inverse_cdf(flat: Any, noise: Any, n_cells: int | None) -> Any:
    """For each uniform number the first cell whose cumulated mass exceeds it, by bisection."""
    cdf = ops.cumsum(flat, axis=1)
    target = noise * cdf[:, -1:]
    low = ops.zeros_like(noise, dtype="int32")
    # The last cell with any mass bounds the search: rounding must not lead past it.
    positions = ops.arange(ops.shape(flat)[1], dtype="int32")
    last = ops.max(ops.where(flat > 0, positions, ops.zeros_like(positions)), axis=1, keepdims=True)
    high = low + last
    for _ in range(31 if n_cells is None else n_cells.bit_length()):
        middle = (low + high) // 2
        exceeds = ops.take_along_axis(cdf, middle, axis=1) > target
        high = ops.where(exceeds, middle, high)
        low = ops.minimum(ops.where(exceeds, low, middle + 1), high)
    return high


def unravel(cell: Any, space: Any) -> Any:
    """`(B, N)` flat cells -> `(B, N, len(space))`, row-major."""
    axes = []
    for side in reversed([space[i] for i in range(len(space))]):
        axes.append(cell % side)
        cell = cell // side
    return ops.stack(axes[::-1], axis=-1)


def _check_method(method: str) -> None:
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}. Received: method={method!r}")


def _check_arguments(n_samples: int | None, n_cells: int | None, method: str, noise: Any | None) -> None:
    _check_method(method)
    if method == "exhaustive":
        if noise is not None:
            raise ValueError("method='exhaustive' draws nothing and takes no noise")
        return
    if not isinstance(n_samples, int) or isinstance(n_samples, bool) or n_samples < 1:
        raise ValueError(f"n_samples must be an integer of at least 1. Received: n_samples={n_samples!r}")
    if n_cells is not None and n_samples > n_cells:
        raise ValueError(
            f"n_samples={n_samples} patches cannot be drawn from a lattice of {n_cells} cells: "
            "lower the number of patches, or use a finer lattice (a smaller overview_mpp or stride)"
        )
    if noise is None:
        return
    if method == "topk":
        raise ValueError("method='topk' draws nothing at random and takes no noise")
    width = n_samples if method == "replacement" else n_cells
    shape = tuple(noise.shape)
    if len(shape) != 2 or (width is not None and shape[1] is not None and shape[1] != width):
        raise ValueError(f"noise for method={method!r} must have the shape (B, {width}). Received: shape {shape}")
