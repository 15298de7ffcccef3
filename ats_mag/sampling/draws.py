"""Draws of cells from an attention distribution: at random in several ways, the most probable, or all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import keras
import numpy as np
from keras import ops

from ats_mag.sampling.methods import GUMBEL_METHODS
from ats_mag.sampling.weights import SMALLEST_NORMAL, as_float, check_method, sample_weights
from ats_mag.system.arguments import as_integer, whole
from ats_mag.system.short_repr import short_repr
from ats_mag.tensors import Attention, Index, Noise, Tensor, Weight

Seed: TypeAlias = int | keras.random.SeedGenerator | None

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

    index: Index
    attention: Tensor
    weight: Weight
    threshold: Tensor | None = None

    def __repr__(self) -> str:
        return short_repr(self, self._asdict())


def sample(
    attention: Attention,
    n_samples: int | None,
    method: str = "sequential",
    seed: Seed = None,
    noise: Noise | None = None,
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
    attention, seed = as_float(attention), _checked_seed(seed)
    if stratify and method != "exhaustive" and attention.shape[-1] > 1:
        return _sample_strata(attention, n_samples, method, seed, noise, normalize)
    space = tuple(attention.shape[1:])
    if not space:
        raise ValueError(f"attention must have the shape (B, *space). Received: shape {tuple(attention.shape)}")
    n_cells = None if any(side is None for side in space) else math.prod(space)
    n = _checked_number(n_samples, n_cells, method, noise)
    flat = ops.reshape(attention, (ops.shape(attention)[0], n_cells if n_cells is not None else -1))

    threshold = None
    if method == "replacement":
        if noise is None:
            noise = keras.random.uniform((ops.shape(flat)[0], n), dtype=flat.dtype, seed=seed)
        cell = _inverse_cdf(ops.stop_gradient(flat), ops.cast(noise, flat.dtype), n_cells)
    elif method in GUMBEL_METHODS:
        if noise is None:
            noise = keras.random.uniform(ops.shape(flat), dtype=flat.dtype, seed=seed)
        cell, threshold = _gumbel_top(ops.stop_gradient(flat), ops.cast(noise, flat.dtype), n, n_cells)
    else:
        cell = ops.top_k(ops.stop_gradient(flat), n if method == "topk" else ops.shape(flat)[1])[1]
    cell = ops.cast(cell, "int32")

    drawn = ops.take_along_axis(flat, cell, axis=1)
    threshold = threshold if method == "priority" else None
    weight = sample_weights(drawn, method, threshold, normalize)
    return Samples(unravel(cell, ops.shape(attention)[1:]), drawn, weight, threshold)


def _sample_strata(
    attention: Attention, n_samples: int | None, method: str, seed: Seed, noise: Noise | None, normalize: bool
) -> Samples:
    """Draws within each entry of the last axis, as `sample` says of `stratify`."""
    n_strata = attention.shape[-1]
    n_samples = _checked_number(n_samples, None, method, noise)
    if n_samples < n_strata:
        raise ValueError(
            f"stratified sampling needs at least one draw for each of the {n_strata} strata. "
            f"Received: n_samples={n_samples}"
        )
    mass = ops.sum(attention, axis=tuple(range(1, len(attention.shape) - 1)))
    noise_of_cells = None
    if noise is not None and method != "replacement":
        noise_of_cells = ops.reshape(noise, (ops.shape(attention)[0], -1, n_strata))
    parts, first, number = [], 0, as_integer(seed)
    for stratum in range(n_strata):
        n = n_samples // n_strata + (stratum < n_samples % n_strata)
        here = mass[:, stratum]
        # Scaled by a constant first: the gradient of a division by a differentiable tiny mass would overflow.
        scale = ops.stop_gradient(ops.maximum(here, SMALLEST_NORMAL))
        within = attention[..., stratum] / ops.reshape(scale, (-1, *[1] * (len(attention.shape) - 2)))
        total = ops.sum(within, axis=tuple(range(1, len(within.shape))), keepdims=True)
        within = within / ops.where(total > 0, total, ops.ones_like(total))
        if noise is None:
            noise_here = None
        else:
            noise_here = noise[:, first : first + n] if noise_of_cells is None else noise_of_cells[..., stratum]
        own_seed = seed if number is None or stratum == 0 else _spawned(number, stratum)
        part = sample(within, n, method, own_seed, noise_here, normalize)
        index = ops.concatenate([part.index, ops.full_like(part.index[..., :1], stratum)], axis=-1)
        here = here[:, None]
        parts.append(Samples(index, part.attention * here, part.weight * here, part.threshold))
        first += n
    joined = [ops.concatenate([part[i] for part in parts], axis=1) for i in range(3)]
    threshold = ops.concatenate([p.threshold for p in parts], axis=1) if method == "priority" else None
    return Samples(joined[0], joined[1], joined[2], threshold)


def _spawned(seed: int, stratum: int) -> int:
    """A seed of the stratum's own: a number draws the same wherever it is used, and its neighbours' strata draw others."""
    return int(np.random.SeedSequence([seed, stratum]).generate_state(1)[0])


def _checked_seed(seed: Seed) -> Seed:
    """Integers of NumPy as Python's, which Keras takes alone."""
    if seed is None or isinstance(seed, keras.random.SeedGenerator):
        return seed
    return whole("seed", seed, 0)


def perturb(flat: Tensor, noise: Noise) -> Tensor:
    """Log-probabilities plus standard Gumbel noise, made of uniform numbers; -inf where the probability is 0.

    Taken from the largest down, these are weighted draws without replacement.
    """
    noise = ops.clip(noise, SMALLEST_NORMAL, _LARGEST_UNIFORM)
    possible = flat > 0
    log_probability = ops.log(ops.where(possible, flat, ops.ones_like(flat)))
    return ops.where(possible, log_probability - ops.log(-ops.log(noise)), -math.inf)


def _gumbel_top(flat: Tensor, noise: Noise, n: int, n_cells: int | None) -> tuple[Tensor, Tensor]:
    """The N cells of the largest perturbed log-probability, and the (N+1)-th largest itself."""
    perturbed = perturb(flat, noise)
    if n_cells == n:
        return ops.top_k(perturbed, n)[1], ops.full_like(perturbed[:, :1], -math.inf)
    if n_cells is None:  # perhaps no more than n: a last entry that cannot be drawn stands in for the (n+1)-th
        perturbed = ops.pad(perturbed, [(0, 0), (0, 1)], constant_values=-math.inf)
    values, cells = ops.top_k(perturbed, n + 1)
    return ops.minimum(cells[:, :n], ops.shape(flat)[1] - 1), values[:, n:]


def _inverse_cdf(flat: Tensor, noise: Noise, n_cells: int | None) -> Tensor:
    """For each uniform number the first cell whose cumulated mass exceeds it, by bisection."""
    cdf = ops.cumsum(flat, axis=1)
    target = noise * cdf[:, -1:]
    low = ops.zeros_like(noise, dtype="int32")
    # The last cell with any mass bounds the search: rounding must not lead past it.
    positions = ops.arange(ops.shape(flat)[1], dtype="int32")
    last = ops.max(
        ops.where(flat > 0, positions, ops.zeros_like(positions)), axis=1, keepdims=True, initial=0
    )  # `initial`: of no slides, too
    high = low + last
    for _ in range(31 if n_cells is None else n_cells.bit_length()):
        middle = (low + high) // 2
        exceeds = ops.take_along_axis(cdf, middle, axis=1) > target
        high = ops.where(exceeds, middle, high)
        low = ops.minimum(ops.where(exceeds, low, middle + 1), high)
    return high


def unravel(cell: Tensor, space: Sequence[int]) -> Index:
    """`(B, N)` flat cells -> `(B, N, len(space))`, row-major."""
    axes = []
    for side in reversed([space[i] for i in range(len(space))]):
        axes.append(cell % side)
        cell = cell // side
    return ops.stack(axes[::-1], axis=-1)


def _checked_number(n_samples: Any, n_cells: int | None, method: str, noise: Noise | None) -> int:
    """The number of draws, 0 for `exhaustive`, after all arguments were found to fit together."""
    check_method(method)
    if method == "exhaustive":
        if noise is not None:
            raise ValueError("method='exhaustive' draws nothing and takes no noise")
        return 0
    n_samples = whole("n_samples", n_samples, 1)
    if n_cells is not None and n_samples > n_cells:
        raise ValueError(
            f"n_samples={n_samples} patches cannot be drawn from a lattice of {n_cells} cells: "
            "lower the number of patches, or use a finer lattice (a smaller overview_mpp or stride)"
        )
    if noise is None:
        return n_samples
    if method == "topk":
        raise ValueError("method='topk' draws nothing at random and takes no noise")
    width = n_samples if method == "replacement" else n_cells
    shape = tuple(noise.shape)
    if len(shape) != 2 or (width is not None and shape[1] is not None and shape[1] != width):
        raise ValueError(f"noise for method={method!r} must have the shape (B, {width}). Received: shape {shape}")
    return n_samples
