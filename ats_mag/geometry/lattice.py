"""Where a cell of the attention map lies on the slide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from ats_mag.geometry.units import MPP_UNIT

# A slide's geometry travels as integers, because Keras casts floats to the compute dtype, which may be float16:
# x, y, width, height of its bounds in level-0 pixels, and its mpp in units of `MPP_UNIT` um.
GEOMETRY_FIELDS = ("x", "y", "width", "height", "mpp_e7")


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

    def place(self, index: Any, geometry: Any) -> tuple[Any, Any]:
        """Level-0 rectangles of cells.

        A cell's centre lies at ``(col + 0.5, row + 0.5) * stride * overview_mpp / slide_mpp`` from the origin of the
        slide's bounds; its patch is centred there and covers ``patch_size * mpp`` um.

        In float64, as float32 misses pixels on large slides: tensors on TensorFlow; elsewhere NumPy arrays, so that
        code traced by JAX, which has no float64 by default, calls it on the host (`ReadSlidePatches.read_cells`).

        Args:
            index: `(B, N, 3)` integer (row, column, magnification).
            geometry: `(B, 5)` integers, see `GEOMETRY_FIELDS`.

        Returns:
            location `(B, N, 2)` int64: (x, y) of the patches' top-left corners, level-0 pixels.
            downsample `(B, N)` float64: level-0 pixels per patch pixel.
        """
        xp, cast = (ops, ops.cast) if keras.backend.backend() == "tensorflow" else (np, np.asarray)
        index, geometry = cast(index, "int32"), cast(geometry, "float64")
        slide_mpp = geometry[:, 4:5] * MPP_UNIT
        downsample = xp.take(np.array(self.magnifications, "float64"), index[..., 2]) / slide_mpp
        column_row = cast(xp.flip(index[..., :2], axis=-1), "float64")
        centre = (column_row + 0.5) * (self.cell_um / slide_mpp)[..., None] + geometry[:, None, :2]
        corner = xp.floor(centre - self.patch_size * downsample[..., None] / 2 + 0.5)
        return cast(corner, "int64"), downsample

    def reach(self, geometry: Any) -> Any:
        """Half a cell in level-0 pixels, `(B,)` float64 as of `place`, for geometry `(B, 5)`."""
        cast = ops.cast if keras.backend.backend() == "tensorflow" else np.asarray
        return self.cell_um / 2 / (cast(geometry, "float64")[:, 4] * MPP_UNIT)

    def field_of_view_um(self, magnification: int) -> float:
        """Side of a patch of that magnification in um."""
        return self.patch_size * self.magnifications[magnification]
