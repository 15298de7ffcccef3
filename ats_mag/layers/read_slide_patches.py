"""Patches straight from the slide files, inside the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from ats_mag.backend import on_jax
from ats_mag.geometry.lattice import Lattice
from ats_mag.sampling.regularizers import PACKAGE
from ats_mag.system.arguments import positive
from ats_mag.tensors import (
    Downsample,
    Geometry,
    Index,
    KerasConfig,
    Location,
    Patches,
    PathCodes,
    ReadablePatches,
    Tensor,
)


@keras.saving.register_keras_serializable(PACKAGE)
class ReadSlidePatches(keras.layers.Layer):
    """Reads `(B, N)` patches from B slide files: with the slide op on TensorFlow, with a host callback on JAX.

    Runs on the CPU wherever the model runs, and has no gradient: places are integers.

    Args:
        patch_size: patch side in pixels.
        on_error: `"raise"`, or `"fill"`: an unreadable patch is white and not valid.

    Call arguments:
        path: `(B, L)` int32, the paths' UTF-8 bytes, zero-padded; on TensorFlow also `(B,)` strings.
        location: `(B, N, 2)` int64 (int32 on JAX), level-0 (x, y) of the top-left corners.
        downsample: `(B, N)` level-0 pixels per patch pixel.

    Returns:
        patches `(B, N, P, P, 3)` uint8, valid `(B, N)` bool.

    Raises:
        RuntimeError: on another backend. While running, see `slides.reader.read_patches`; on JAX an error that
            `slides.errors.plain_errors` turns into the exceptions of `slides.numpy_reader.read_patches`.
    """

    def __init__(self, patch_size: int, on_error: str = "raise", **kwargs: Any) -> None:
        kwargs.setdefault("dtype", "float32")
        super().__init__(autocast=False, trainable=False, **kwargs)
        self.patch_size = positive("patch_size", patch_size)
        if on_error not in ("raise", "fill"):
            raise ValueError(f'on_error must be "raise" or "fill". Received: on_error={on_error!r}')
        self.on_error = on_error
        # TensorFlow's XLA has no lowering for a custom CPU kernel; JAX' XLA calls back to the host.
        self.supports_jit = on_jax()

    def call(self, path: PathCodes, location: Location, downsample: Downsample) -> tuple[Patches, ReadablePatches]:
        if _backend() == "jax":
            return self._call_back(lambda *where: where, location.shape[:2], path, location, downsample)
        from ats_mag.slides.reader import read_patches

        path = _codes(path)
        size = (self.patch_size, self.patch_size)
        if self.on_error == "fill":
            return read_patches(path, location, downsample, size, on_error="fill")
        patches = read_patches(path, location, downsample, size)
        return patches, keras.ops.ones(keras.ops.shape(patches)[:2], dtype="bool")

    def read_cells(
        self, lattice: Lattice, path: PathCodes, index: Index, geometry: Geometry
    ) -> tuple[Patches, ReadablePatches]:
        """Reads the patches of cells of a lattice: the same places on every backend, to the pixel.

        Args:
            lattice: whose cells they are.
            path: `(B, L)`, as in a call.
            index: `(B, N, 3)` (row, column, magnification).
            geometry: `(B, 5)`, see `slide_geometry.GEOMETRY_FIELDS`.

        Returns:
            As a call.
        """
        if _backend() == "jax":
            return self._call_back(
                lambda *where: self.place_cells(lattice, *where), index.shape[:2], path, path, index, geometry
            )
        return self(path, *self.place_cells(lattice, path, index, geometry))

    def place_cells(
        self, lattice: Lattice, path: PathCodes, index: Index, geometry: Geometry
    ) -> tuple[Location, Downsample]:
        """Where the patches of cells are read, snapped where the lattice says so: see `Lattice.place`.

        On JAX this runs on the host, with NumPy arrays.
        """
        location, downsample = lattice.place(index, geometry)
        if not lattice.snap:
            return location, downsample
        size, reach = (self.patch_size, self.patch_size), lattice.reach(geometry)
        if _backend() == "jax":
            from ats_mag.slides import numpy_reader

            return numpy_reader.snap_patches(path, location, downsample, size, reach), downsample
        from ats_mag.slides import reader

        return reader.snap_patches(_codes(path), location, downsample, size, reach), downsample

    def _call_back(
        self, place: Callable[..., tuple[Location, Downsample]], shape: Sequence[int], path: PathCodes, *where: Tensor
    ) -> tuple[Patches, ReadablePatches]:
        """Reads on the host what `place(*where)` says: location and downsample, computed there in float64."""
        import jax

        from ats_mag.slides import numpy_reader
        from ats_mag.slides.errors import callback_errors

        size = (self.patch_size, self.patch_size)

        def read(path: PathCodes, *where: Tensor) -> tuple[np.ndarray, np.ndarray]:
            try:
                location, downsample = place(*map(np.asarray, where))
                return numpy_reader.read_patches(np.asarray(path), location, downsample, size, self.on_error)
            except Exception as error:
                callback_errors.keep(error)
                raise

        result = jax.ShapeDtypeStruct((*shape, *size, 3), np.uint8), jax.ShapeDtypeStruct(tuple(shape), np.bool_)
        where = tuple(jax.lax.stop_gradient(x) for x in where)
        return jax.pure_callback(read, result, path, *where, vmap_method="sequential")

    def get_config(self) -> KerasConfig:
        config = super().get_config()
        config.pop("trainable")
        return {**config, "patch_size": self.patch_size, "on_error": self.on_error}


def _codes(path: PathCodes) -> PathCodes:
    """Strings as they are; codes as integers: under a distribution strategy, Keras builds a model with batch means."""
    is_string = keras.backend.standardize_dtype(path.dtype) == "string"
    return path if is_string else keras.ops.cast(path, "int32")


def _backend() -> str:
    name = keras.backend.backend()
    if name not in ("tensorflow", "jax"):
        raise RuntimeError(
            "reading slides inside a model needs Keras' TensorFlow or JAX backend: set KERAS_BACKEND=tensorflow or "
            f"KERAS_BACKEND=jax. Received: {name}"
        )
    return name
