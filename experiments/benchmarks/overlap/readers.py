"""Readers of a model that tell reading and computing apart, each held to a processor of its own."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf

from ats_mag.geometry.lattice import Lattice
from ats_mag.layers.read_slide_patches import ReadSlidePatches
from ats_mag.slides import numpy_reader
from ats_mag.tensors import Geometry, Index, Patches, PathCodes, ReadablePatches

PROCESSORS = sorted(os.sched_getaffinity(0))
READER = ThreadPoolExecutor(1, initializer=lambda: os.sched_setaffinity(0, PROCESSORS[-1:]))


class ElsewhereReader(ReadSlidePatches):
    """Reads on the other processor."""

    def read_cells(
        self, lattice: Lattice, path: PathCodes, index: Index, geometry: Geometry
    ) -> tuple[Patches, ReadablePatches]:
        """As the layer that it stands for."""
        where = self.place_cells(lattice, path, index, geometry)
        patches, valid = tf.numpy_function(self._read, [path, *where], [tf.uint8, tf.bool], stateful=False)
        n, size = index.shape[1], self.patch_size
        return tf.ensure_shape(patches, (None, n, size, size, 3)), tf.ensure_shape(valid, (None, n))

    def _read(self, *where: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return READER.submit(numpy_reader.read_patches, *where, (self.patch_size, self.patch_size)).result()


class HeldPatches(ReadSlidePatches):
    """Gives patches that were read before."""

    def __init__(self, patches: Patches) -> None:
        super().__init__(patches.shape[2])
        self.patches = patches

    def read_cells(
        self, lattice: Lattice, path: PathCodes, index: Index, geometry: Geometry
    ) -> tuple[Patches, ReadablePatches]:
        """The first of the patches, as many as are asked for."""
        patches = self.patches[: tf.shape(index)[0]]
        return patches, tf.ones(tf.shape(patches)[:2], tf.bool)
