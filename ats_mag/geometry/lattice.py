"""The lattice of cells over a slide: how many there are, where each lies, and which patch belongs to it.

Keras is imported where tensors are computed with; processes that only count cells begin seconds sooner without it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ats_mag.backend import on_tensorflow
from ats_mag.geometry.multiples import ceil_div, round_up
from ats_mag.geometry.slide_geometry import slide_mpp
from ats_mag.tensors import Downsample, Geometry, Index, Location, Tensor

_LEAST_MULTIPLE = 64  # overview pixels; overviews are padded to multiples of it, so that few shapes are traced
_ROUNDING = 1e-6  # of an overview pixel, as in `op/read_overview.cc`


@dataclass(frozen=True)
class Lattice:
    """The grid of cells over a slide, one layer per magnification.

    Attributes:
        overview_mpp: resolution of the overview, um/px.
        stride: overview pixels per cell side.
        magnifications: resolution of the patches of each magnification, um/px.
        patch_size: patch side in pixels, the same at every magnification.
        snap: whether a patch may move by less than half a cell onto the tile grid of the slide's file, so that fewer tiles
            have to be decoded for it (`slides.reader.snap_patches`).
    """

    overview_mpp: float
    stride: int
    magnifications: tuple[float, ...]
    patch_size: int
    snap: bool = True

    @property
    def cell_um(self) -> float:
        """Side of a cell in um."""
        return self.stride * self.overview_mpp

    def cell_px(self, mpp: float) -> float:
        """Side of a cell in level-0 pixels of a slide of `mpp` um/px."""
        return self.cell_um / mpp

    def overview_px(self, mpp: float) -> float:
        """Side of an overview pixel in level-0 pixels of a slide of `mpp` um/px."""
        return self.overview_mpp / mpp

    def field_of_view_um(self, magnification: int) -> float:
        """Side of a patch of that magnification in um."""
        return self.patch_size * self.magnifications[magnification]

    def overview_multiple(self, n_patches: int = 1) -> int:
        """Overview pixels, a multiple of the stride, of whose multiples both sides of an overview are made.

        So there are few shapes, and the smallest overview's lattice holds `n_patches` cells in each magnification.
        """
        least = self.stride * (math.isqrt(n_patches - 1) + 1)  # the root, rounded up
        return round_up(least, max(_LEAST_MULTIPLE, self.stride))

    def shape_of_overview(self, sides: Sequence[int]) -> tuple[int, int]:
        """Rows and columns of the cells that cover an overview of (height, width) pixels."""
        height, width = sides
        return ceil_div(height, self.stride), ceil_div(width, self.stride)

    def shape(self, geometry: np.ndarray) -> tuple[int, int]:
        """Rows and columns of the cells that cover a slide's bounds.

        The same as those of its overview, unless that is a level of the file as it stands, whose pixels may be up to 2 %
        larger or smaller.

        Args:
            geometry: `(5,)` integers, see `slide_geometry.GEOMETRY_FIELDS`.
        """
        width, height = np.asarray(geometry)[2:4] / self.overview_px(float(slide_mpp(geometry)))
        return self.shape_of_overview([math.ceil(side - _ROUNDING) for side in (height, width)])

    def cell_count(self, shape: Sequence[int]) -> int:
        """How many cells a lattice of (rows, columns) has in all magnifications together."""
        return math.prod(shape) * len(self.magnifications)

    def centres(self, geometry: np.ndarray, shape: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Where cells have their centres on one slide, level-0 pixels.

        Args:
            geometry: `(5,)` integers, see `slide_geometry.GEOMETRY_FIELDS`.
            shape: (rows, columns).

        Returns:
            x of each column `(W,)` and y of each row `(H,)`, float64.
        """
        step = self.cell_px(float(slide_mpp(geometry)))
        left, top = (int(value) for value in geometry[:2])
        return left + (np.arange(shape[1]) + 0.5) * step, top + (np.arange(shape[0]) + 0.5) * step

    def centres_um(self, index: Index, dtype: str = "float32") -> Tensor:
        """Where cells have their centres, um from the origin of the slide's bounds.

        Args:
            index: `(B, N, 3)` integer (row, column, magnification).
            dtype: of the result.

        Returns:
            `(B, N, 2)` (x, y).
        """
        from keras import ops

        return (ops.cast(index[..., 1::-1], dtype) + 0.5) * self.cell_um

    def place(self, index: Index, geometry: Geometry) -> tuple[Location, Downsample]:
        """Level-0 rectangles of cells.

        A cell's centre lies at ``(col + 0.5, row + 0.5) * stride * overview_mpp / slide_mpp`` from the origin of the
        slide's bounds; its patch is centred there and covers ``patch_size * mpp`` um.

        In float64, as float32 misses pixels on large slides: tensors on TensorFlow; elsewhere NumPy arrays, so that
        code traced by JAX, which has no float64 by default, calls it on the host (`ReadSlidePatches.read_cells`).

        Args:
            index: `(B, N, 3)` integer (row, column, magnification).
            geometry: `(B, 5)` integers, see `slide_geometry.GEOMETRY_FIELDS`.

        Returns:
            location `(B, N, 2)` int64: (x, y) of the patches' top-left corners, level-0 pixels.
            downsample `(B, N)` float64: level-0 pixels per patch pixel.
        """
        from keras import ops

        xp, cast = (ops, ops.cast) if on_tensorflow() else (np, np.asarray)
        index, geometry = cast(index, "int32"), cast(geometry, "float64")
        mpp = slide_mpp(geometry)[:, None]
        downsample = xp.take(np.array(self.magnifications, "float64"), index[..., 2]) / mpp
        column_row = cast(xp.flip(index[..., :2], axis=-1), "float64")
        centre = (column_row + 0.5) * (self.cell_um / mpp)[..., None] + geometry[:, None, :2]
        corner = xp.floor(centre - self.patch_size * downsample[..., None] / 2 + 0.5)
        return cast(corner, "int64"), downsample

    def inside(self, geometry: Geometry, shape: Sequence[int]) -> Tensor:
        """Which patches lie inside their slide's bounds.

        Args:
            geometry: `(B, 5)` integers, see `slide_geometry.GEOMETRY_FIELDS`.
            shape: (rows, columns).

        Returns:
            `(B, H, W, M)` bool.
        """
        from keras import ops

        size = ops.cast(geometry[:, 2:4], "float32") * ops.cast(slide_mpp(geometry), "float32")[:, None]  # um
        half = np.asarray(self.magnifications, "float32") * self.patch_size / 2  # um

        def along(cells: Tensor, length: Tensor) -> Tensor:
            centre = ((ops.arange(cells, dtype="float32") + 0.5) * self.cell_um)[None, :, None]
            return ops.logical_and(centre >= half, centre + half <= length[:, None, None])  # (B, cells, M)

        rows, columns = along(shape[0], size[:, 1]), along(shape[1], size[:, 0])
        return ops.logical_and(rows[:, :, None], columns[:, None])

    def reach(self, geometry: Geometry) -> Tensor:
        """Half a cell in level-0 pixels, `(B,)` float64 as of `place`, for geometry `(B, 5)`."""
        return self.cell_um / 2 / slide_mpp(geometry)
