"""The expectation over every cell, the reference for what is sampled."""

from __future__ import annotations

from collections.abc import Callable

from keras import ops

from ats_mag.backend import while_loop
from ats_mag.sampling.draws import sample
from ats_mag.tensors import Attention, Expected, Index, ReadablePatches, Tensor, Weight


def exhaustive_expectation(
    attention: Attention,
    over_cells: Callable[[Index, Weight], tuple[Expected, ReadablePatches]],
    chunk: int,
    dimension: int,
) -> tuple[Expected, Tensor]:
    """Phi itself: the sum over every cell with a > 0, the most probable first.

    Args:
        attention: of the slides.
        over_cells: ``over_cells(index, weight)`` -> the sum of weight times feature over these cells, and which of them could
            be read.
        chunk: cells of each slide that are read at a time.
        dimension: D.

    Returns:
        Phi `(B, D)`, and how many patches of each slide were read and how many could not be, `(B, 2)` float32.
    """
    every = sample(attention, None, "exhaustive")
    cells = ops.max(ops.sum(ops.cast(every.weight > 0, "int32"), axis=1), initial=0)
    n = ops.shape(every.weight)[1]
    short = -n % chunk
    index = ops.pad(every.index, ((0, 0), (0, short), (0, 0)))
    weight = ops.pad(every.weight, ((0, 0), (0, short)))

    def add_chunk(start: Tensor, phi: Expected, count: Tensor) -> tuple[Tensor, Expected, Tensor]:
        here = ops.slice(index, (0, start, 0), (ops.shape(index)[0], chunk, 3))
        w = ops.slice(weight, (0, start), (ops.shape(weight)[0], chunk))
        part, valid = over_cells(here, w)
        kinds = ops.stack([valid, ops.logical_not(valid)], axis=-1)
        count = count + ops.sum(ops.cast(ops.logical_and(kinds, (w > 0)[..., None]), "float32"), axis=1)
        return start + chunk, phi + part, count

    start = ops.zeros((), dtype="int32")
    phi = ops.zeros((ops.shape(weight)[0], dimension), dtype="float32")
    count = ops.zeros((ops.shape(weight)[0], 2), dtype="float32")
    # Two at a time: one is read while the other is computed.
    return while_loop(lambda start, *_: start < cells, add_chunk, (start, phi, count), ahead=2)[1:]
