"""The expectation over every cell, the reference for what is sampled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from keras import ops

from ats_mag.sampling.draws import sample

if TYPE_CHECKING:
    from ats_mag.model.classifier import SlideClassifier


def exhaustive_expectation(model: SlideClassifier, inputs: Mapping[str, Any], attention: Any) -> tuple[Any, Any]:
    """Phi itself, `(B, D)`: every cell with a > 0, the most probable first, `model.chunk` at a time.

    Returns:
        Phi, and how many patches of each slide were read and how many could not be, `(B, 2)` float32.
    """
    every = sample(attention, None, "exhaustive")
    cells = ops.max(ops.sum(ops.cast(every.weight > 0, "int32"), axis=1))
    n = ops.shape(every.weight)[1]
    short = -n % model.chunk
    index = ops.pad(every.index, ((0, 0), (0, short), (0, 0)))
    weight = ops.pad(every.weight, ((0, 0), (0, short)))

    def add_chunk(start: Any, phi: Any, count: Any) -> tuple[Any, Any, Any]:
        here = ops.slice(index, (0, start, 0), (ops.shape(index)[0], model.chunk, 3))
        patches, valid = model.read(inputs, here)
        w = ops.slice(weight, (0, start), (ops.shape(weight)[0], model.chunk))
        phi = phi + model.expectation([model.features_of(patches), ops.where(valid, w, 0.0)])
        kinds = ops.stack([valid, ops.logical_not(valid)], axis=-1)
        count = count + ops.sum(ops.cast(ops.logical_and(kinds, (w > 0)[..., None]), "float32"), axis=1)
        return start + model.chunk, phi, count

    start = ops.zeros((), dtype="int32")
    phi = ops.zeros((ops.shape(weight)[0], model.dimension), dtype="float32")
    count = ops.zeros((ops.shape(weight)[0], 2), dtype="float32")
    return ops.while_loop(lambda start, *_: start < cells, add_chunk, (start, phi, count))[1:]
