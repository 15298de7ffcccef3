"""Patches of an image that is held in memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from ats_mag.backend import on_jax
from ats_mag.sampling.draws import sample
from ats_mag.sampling.methods import METHODS, STOCHASTIC_METHODS
from ats_mag.sampling.regularizers import PACKAGE
from ats_mag.system.arguments import positive, whole
from ats_mag.tensors import Index, KerasConfig, Noise, Tensor, Weight


@keras.saving.register_keras_serializable(PACKAGE)
class SamplePatches(keras.layers.Layer):
    """Draws patches of `x_high` where the attention, computed from `x_low`, points.

    `x_low` and `x_high` show the same field, so a cell of the attention lies at the same relative place in both. Reads
    only the pixels of the patches; gradients flow to `attention`, through the weights, and to `x_high`. Images may
    have one, two or three spatial axes (below: `*space`).

    Source: Katharopoulos & Fleuret (ICML 2019); places and pixels equal those of their library attention-sampling 0.2.

    Args:
        n_patches: N, patches per image; None for `method="exhaustive"`.
        patch_size: pixels of a patch along each spatial axis.
        method: how to draw and weigh, see `ats_mag.sample`.
        receptive_field: pixels of `x_low` that the attention network's unpadded convolutions take off each axis.
        magnifications: M downsample factors of `x_high`, whole numbers: a patch at factor m covers `patch_size * m`
            pixels around the same centre, each of its pixels the mean of m pixels along every axis.
        normalize: of `method="priority"`, see `ats_mag.sample`.
        seed: of the draws.

    Call arguments:
        inputs: `[x_low (B, *low, C), x_high (B, *high, C), attention]`, attention `(B, *cells)` or `(B, *cells, M)`,
            probabilities.
        noise: replaces the random draw, see `ats_mag.sample`.

    Returns:
        patches `(B, N, *patch_size, C)` in the dtype of `x_high`, 0 outside of it; weight `(B, N)`; index `(B, N, n)`
        int32, the drawn entries of `attention`.

    Raises:
        ValueError: for an unknown method, a factor that is not a whole number of at least 1, shapes that do not
            belong together, and whatever `ats_mag.sample` refuses.
    """

    def __init__(
        self,
        n_patches: int | None,
        patch_size: Sequence[int],
        method: str = "sequential",
        receptive_field: int = 0,
        magnifications: Sequence[float] = (1.0,),
        normalize: bool = True,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("dtype", "float32")
        kwargs.setdefault("autocast", False)  # a cast would copy the whole image
        super().__init__(**kwargs)
        if method not in METHODS:
            raise ValueError(f"method must be one of {', '.join(METHODS)}. Received: method={method!r}")
        if not len(patch_size) or any(side != int(side) or side < 1 for side in patch_size):
            raise ValueError(f"patch_size must hold positive whole numbers. Received: patch_size={patch_size!r}")
        if not len(magnifications) or any(factor != int(factor) or factor < 1 for factor in magnifications):
            raise ValueError(
                "magnifications must be downsample factors of x_high, whole numbers of at least 1 (resize x_high first "
                f"for others). Received: magnifications={magnifications!r}"
            )
        self.n_patches = None if n_patches is None else positive("n_patches", n_patches)
        self.patch_size = tuple(int(side) for side in patch_size)
        self.method = method
        self.receptive_field = whole("receptive_field", receptive_field, 0)
        self.magnifications = tuple(float(factor) for factor in magnifications)
        self.normalize = bool(normalize)
        self.seed = None if seed is None else whole("seed", seed, 0)
        if method in STOCHASTIC_METHODS:
            self.seed_generator = keras.random.SeedGenerator(self.seed)

    def call(self, inputs: Sequence[Tensor], noise: Noise | None = None) -> tuple[Tensor, Weight, Index]:
        x_low, x_high, attention = inputs
        self._check_shapes(x_low.shape, x_high.shape, attention.shape)
        n_axes = len(self.patch_size)
        seed = self.seed_generator if self.method in STOCHASTIC_METHODS else None
        samples = sample(attention, self.n_patches, self.method, seed, noise, self.normalize)
        cell, magnification = samples.index[..., :n_axes], samples.index[..., n_axes:]

        def read(factor: int) -> Tensor:
            covered = [side * factor for side in self.patch_size]
            low, high, space = (ops.shape(x)[1 : 1 + n_axes] for x in (x_low, x_high, attention))
            origin = patch_origins(cell, low, high, space, covered, self.receptive_field)
            return extract_patches(x_high, origin, self.patch_size, factor)

        patches = read(int(self.magnifications[0]))
        for i, factor in enumerate(self.magnifications[1:], start=1):
            chosen = ops.reshape(magnification == i, (*ops.shape(cell)[:2], *[1] * (n_axes + 1)))
            patches = ops.where(chosen, read(int(factor)), patches)
        return patches, samples.weight, samples.index

    def compute_output_shape(self, input_shape: Sequence[tuple]) -> tuple[tuple, tuple, tuple]:
        _, high, attention = input_shape
        n = self.n_patches
        if self.method == "exhaustive":
            n = None if None in attention[1:] else math.prod(attention[1:])
        return (high[0], n, *self.patch_size, high[-1]), (high[0], n), (high[0], n, len(attention) - 1)

    def compute_output_spec(self, inputs: Sequence[Tensor], noise: Noise | None = None) -> tuple:
        x_low, x_high, attention = inputs
        self._check_shapes(x_low.shape, x_high.shape, attention.shape)
        shapes = self.compute_output_shape([x.shape for x in inputs])
        weight = "float64" if attention.dtype == "float64" else "float32"
        dtypes = (x_high.dtype, weight, "int32")
        return tuple(keras.KerasTensor(shape, dtype=dtype) for shape, dtype in zip(shapes, dtypes, strict=True))

    def get_config(self) -> KerasConfig:
        return {
            **super().get_config(),
            "n_patches": self.n_patches,
            "patch_size": self.patch_size,
            "method": self.method,
            "receptive_field": self.receptive_field,
            "magnifications": self.magnifications,
            "normalize": self.normalize,
            "seed": self.seed,
        }

    def _check_shapes(self, low: tuple, high: tuple, attention: tuple) -> None:
        n_axes, n_magnifications = len(self.patch_size), len(self.magnifications)
        if not len(low) == len(high) == n_axes + 2:
            raise ValueError(
                f"patch_size={self.patch_size} needs x_low and x_high of rank {n_axes + 2}, (B, *space, C). "
                f"Received: shapes {tuple(low)} and {tuple(high)}"
            )
        with_axis = len(attention) == n_axes + 2 and attention[-1] in (n_magnifications, None)
        if not with_axis and not (len(attention) == n_axes + 1 and n_magnifications == 1):
            raise ValueError(
                f"attention must end in an axis of {n_magnifications} magnifications, (B, *cells, M); the axis may be "
                f"absent for one. Received: shape {tuple(attention)}"
            )


def patch_origins(
    cell: Tensor, low: Sequence, high: Sequence, space: Sequence, covered: Sequence[int], receptive_field: int = 0
) -> Tensor:
    """First pixels, in the large image, of the patches that are centred on cells of the attention.

    ``round(offset*scale + cell*step + step/2 - covered/2)`` with ``scale = high / low``,
    ``offset = receptive_field / 2`` and ``step = (low - receptive_field) * scale / space``: float32 from left to
    right, halves to even, as in attention-sampling 0.2.

    Args:
        cell: `(B, N, n)` integer cells.
        low, high, space: n sides each, of the small image, of the large image and of the attention.
        covered: n sides of a patch in pixels of the large image.
        receptive_field: see `SamplePatches`.

    Returns:
        `(B, N, n)` int32, which may lie outside the image.
    """
    origins = []
    for axis, sides in enumerate(zip(low, high, space, covered, strict=True)):
        index = cell[..., axis]
        if all(isinstance(side, int) for side in sides):
            # Known sides: computed here, once per cell, because a compiler may fuse the products and sums into
            # operations that round differently, and a third of the places can be exact halves.
            cells = np.arange(sides[2], dtype=np.float32)
            table = np.rint(_origin(cells, receptive_field, *(np.float32(side) for side in sides)))
            origins.append(ops.take(ops.convert_to_tensor(table.astype(np.int32)), index, axis=0))
        else:
            sides = tuple(ops.cast(side, "float32") for side in sides)
            origin = _origin(ops.cast(index, "float32"), receptive_field, *sides)
            origins.append(ops.cast(ops.round(origin), "int32"))
    return ops.stack(origins, axis=-1)


def extract_patches(image: Tensor, origin: Tensor, size: Sequence[int], factor: int = 1) -> Tensor:
    """Patches at any place of a batch of images, 0 outside.

    Args:
        image: `(B, *space, C)`, of any dtype.
        origin: `(B, N, n)` int32, the first pixel of each patch.
        size: n sides of a patch.
        factor: pixels of `image` per pixel of a patch, along each axis; their mean is taken (rounded for integers).

    Returns:
        `(B, N, *size, C)` in the dtype of `image`.

    Raises:
        ValueError: for a batch of 2**31 pixels or more where the backend has no 64-bit indices.
    """
    image = ops.convert_to_tensor(image)
    batch, *space, channels = ops.shape(image)
    # The batch is one long row of pixels: a view, not a copy.
    flat = ops.reshape(image, (-1, channels))
    first = ops.reshape(ops.arange(batch), (batch, 1, *[1] * len(size)))
    first = ops.cast(first, _index_dtype(batch, *space))
    if factor == 1:
        return _gather(flat, first, space, origin, size)
    dtype = keras.backend.standardize_dtype(image.dtype)
    mean_dtype = "float64" if dtype == "float64" else "float32"
    means = tuple(range(4, 2 + 2 * len(size), 2))
    mean: Tensor = 0
    for row in range(factor):  # one row of each mean at a time: less memory by that factor
        extents = (size[0], *(side * factor for side in size[1:]))
        pixels = ops.cast(_gather(flat, first, space, origin, extents, row, factor), mean_dtype)
        split = [length for side in size[1:] for length in (side, factor)]
        pixels = ops.reshape(pixels, (*ops.shape(origin)[:2], size[0], *split, channels))
        mean = mean + ops.mean(pixels, axis=means) / factor
    return ops.cast(mean if "float" in dtype else ops.round(mean), dtype)


def _origin(cell: Tensor, receptive_field: Tensor, low: Tensor, high: Tensor, space: Tensor, covered: Tensor) -> Tensor:
    scale = high / low
    step = (low - receptive_field) * scale / space
    return receptive_field / 2 * scale + cell * step + step / 2 - covered / 2


def _gather(
    flat: Tensor,
    first: Tensor,
    space: Sequence,
    origin: Tensor,
    extents: Sequence[int],
    row: int = 0,
    row_step: int = 1,
) -> Tensor:
    """`(B, N, *extents, C)` pixels; along the first axis every `row_step`-th, from `row` on."""
    shape, channels = (*ops.shape(origin)[:2], *extents), ops.shape(flat)[-1]
    index: Tensor = first
    inside: Tensor = True
    for axis, (side, extent) in enumerate(zip(space, extents, strict=True)):
        steps = ops.arange(extent, dtype="int32")
        if axis == 0:
            steps = steps * row_step + row
        place = origin[..., axis : axis + 1] + steps
        within = ops.logical_and(place >= 0, place < side)
        along = [1] * len(extents)
        along[axis] = extent
        place = ops.reshape(ops.clip(place, 0, side - 1), (*shape[:2], *along))
        if axis == len(extents) - 1:
            along[axis] = extent * channels
            within = ops.repeat(within, channels, axis=-1)
        inside = ops.logical_and(inside, ops.reshape(within, (*shape[:2], *along)))
        index = index * ops.cast(side, index.dtype) + ops.cast(place, index.dtype)
    # Channels join the last axis: to broadcast a condition along a short axis of its own takes longer than to gather.
    pixels = ops.reshape(ops.take(flat, index, axis=0), (*shape[:-1], extents[-1] * channels))
    return ops.reshape(ops.where(inside, pixels, ops.zeros((), dtype=flat.dtype)), (*shape, channels))


def _index_dtype(*sides: int | Tensor) -> str:
    if all(isinstance(side, int) for side in sides) and math.prod(sides) < 2**31:
        return "int32"
    if on_jax():
        raise ValueError(f"a batch must hold fewer than 2**31 pixels on the JAX backend. Received: {sides}")
    return "int64"
