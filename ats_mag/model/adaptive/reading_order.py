"""The order in which the cells of a slide are read, drawn once, and what the first of them say of all."""

from __future__ import annotations

import math
from typing import NamedTuple

from keras import ops

from ats_mag.sampling.draws import perturb, unravel
from ats_mag.sampling.weights import as_float, sample_weights
from ats_mag.tensors import Attention, Noise, Tensor


class ReadingOrder(NamedTuple):
    """All K cells of one slide in the order they are read, those of probability 0 last.

    Attributes:
        index: `(K, 3)` int32 (row, column, magnification).
        mass: `(K,)` probability of each.
        left: `(K+1,)` probability of it and all after it; 0 at the end. Summed from the end: little is as exact as much.
        key: `(K,)` what they are sorted by: perturbed log-probability, +inf for the `first`.
        cells: `()` int32, how many have a probability above 0.
    """

    index: Tensor
    mass: Tensor
    left: Tensor
    key: Tensor
    cells: Tensor


def draw_order(attention: Attention, noise: Noise, first: Tensor = 0) -> ReadingOrder:
    """Weighted draws without replacement until no cell is left, as of `sample(method="sequential")`.

    Args:
        attention: `(1, H, W, M)`.
        noise: `(1, H * W * M)` uniform(0, 1) numbers.
        first: how many of the most probable cells come before all that are drawn.
    """
    flat = as_float(ops.reshape(attention, (1, -1)))
    key = perturb(flat, ops.cast(noise, flat.dtype))[0]
    flat = flat[0]
    rank = ops.cast(ops.argsort(ops.argsort(-flat)), "int32")
    key = ops.where(ops.logical_and(rank < first, flat > 0), math.inf, key)
    cell = ops.cast(ops.argsort(-key), "int32")
    mass = ops.take(flat, cell)
    left = ops.flip(ops.cumsum(ops.flip(mass, 0)), 0)
    return ReadingOrder(
        index=unravel(cell[None], ops.shape(attention)[1:])[0],
        mass=mass,
        left=ops.concatenate([left, ops.zeros_like(left[:1])]),
        key=ops.take(key, cell),
        cells=ops.sum(ops.cast(flat > 0, "int32")),
    )


def estimate(order: ReadingOrder, values: Tensor, n: Tensor) -> Tensor:
    """Estimates the expectation of `values` over all cells from the first n, exactly where these are all.

    Those of the `first` enter with their probability, the draws with the weights of `priority`, which have the least
    variance: the threshold is the key of the cell that would be read next.

    Args:
        order: of the K cells.
        values: `(K, C)`, of which the first n count.
        n: at least 1.

    Returns:
        `(C,)`.
    """
    read = ops.arange(ops.shape(order.mass)[0], dtype="int32") < n
    mass = ops.where(read, order.mass, 0.0)
    known = ops.where(ops.isinf(order.key), mass, 0.0)
    threshold = ops.take(ops.concatenate([order.key, ops.full_like(order.key[:1], -math.inf)]), n)
    drawn = sample_weights((mass - known)[None], "priority", ops.reshape(threshold, (1, 1)))[0]
    weight = known + drawn * (order.left[0] - ops.sum(known))
    # Draws and known cells together weigh as much as all cells; known cells alone are made to.
    weight = weight * order.left[0] / ops.sum(weight)
    return ops.sum(weight[:, None] * values, axis=0)
