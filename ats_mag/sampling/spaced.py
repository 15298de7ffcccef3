"""The most probable cells whose patches lie apart."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from keras import ops

from ats_mag.sampling.draws import Samples, unravel
from ats_mag.sampling.weights import as_float, sample_weights
from ats_mag.system.arguments import whole
from ats_mag.tensors import Attention, Tensor


def most_probable_apart(
    attention: Attention, n_samples: int, sides: Sequence[float], inside: Tensor | None = None
) -> Samples:
    """The `n_samples` most probable cells, of which no two patches of a magnification overlap.

    The attention is smooth, so the most probable cells of all lie side by side, and their patches show much the same. Here they
    are taken in turn, and what overlaps one of them is put off; so is what reaches beyond the slide. What was put off comes
    last, by its probability, where a slide has too few others (non-maximum suppression, as of boxes in object detection). A
    patch stands for the cells that it put off: its weight is the attention on all of them.

    Args:
        attention: `(B, H, W, M)` probabilities that sum to 1 per slide.
        n_samples: N.
        sides: of a patch of each of the M magnifications, in cells.
        inside: `(B, H, W, M)` bool, whether the patch of a cell lies inside the slide. None: all do.

    Returns:
        `Samples` in the order in which they were taken. The weight of each is the attention on its own cell and on those that it
        put off and no one before it did, divided by the sum over the N; no gradient goes through it.

    Raises:
        ValueError: N < 1, N larger than the lattice, or another number of sides than M.
    """
    attention = as_float(attention)
    n = whole("n_samples", n_samples, 1)
    height, width, kinds = attention.shape[1:]
    if len(sides) != kinds:
        raise ValueError(f"`sides` must be one for each of the {kinds} magnifications. Received: {list(sides)}")
    if None not in (height, width) and n > height * width * kinds:
        raise ValueError(
            f"n_samples={n} patches cannot be taken from a lattice of {height * width * kinds} cells: lower the number of "
            "patches, or use a finer lattice (a smaller overview_mpp or stride)"
        )
    batch, height, width, _ = (ops.shape(attention)[i] for i in range(4))
    flat = ops.stop_gradient(ops.reshape(attention, (batch, -1)))
    cells = ops.shape(flat)[1]
    # Ranks, not probabilities: whole numbers tell what comes first exactly, however small the attention is.
    rank = cells - 1 - ops.cast(ops.argsort(ops.argsort(-flat, axis=1), axis=1), "int32")
    within = ops.ones_like(rank) if inside is None else ops.cast(ops.reshape(inside, (batch, -1)), "int32")
    place = unravel(ops.arange(cells, dtype="int32")[None], (height, width, kinds))  # (1, K, 3)
    reach = ops.convert_to_tensor(np.asarray([math.ceil(side - 1e-6) for side in sides], "int32"))

    def take(i: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        score, taken, mass, unassigned = state
        cell = ops.cast(ops.argmax(score, axis=1), "int32")[:, None]
        itself = numbers == cell
        mine = unravel(cell, (height, width, kinds))  # (B, 1, 3)
        away = ops.max(ops.abs(mine[..., :2] - place[..., :2]), axis=-1)
        near = ops.logical_and(mine[..., 2] == place[..., 2], away < ops.take(reach, mine[..., 2]))
        its = ops.where(ops.logical_or(near, itself), unassigned, 0.0)
        turn = ops.arange(n, dtype="int32")[None] == i
        taken = ops.where(turn, cell, taken)
        mass = ops.where(turn, ops.sum(its, axis=1, keepdims=True), mass)
        put_off = ops.where(ops.logical_and(near, score >= cells), score % cells, score)
        return ops.where(itself, -1, put_off), taken, mass, unassigned - its

    # Taken first: inside and apart, then what reaches beyond, then what overlaps. Without probability: last of all.
    numbers = ops.arange(cells, dtype="int32")[None]
    score = rank + cells * ops.cast(flat > 0, "int32") * (1 + within)
    start = (score, ops.zeros((batch, n), dtype="int32"), ops.zeros((batch, n), dtype=flat.dtype), flat)
    _, taken, mass, _ = ops.fori_loop(0, n, take, start)
    drawn = ops.take_along_axis(ops.reshape(attention, (batch, -1)), taken, axis=1)
    return Samples(unravel(taken, (height, width, kinds)), drawn, sample_weights(mass, "topk"))
