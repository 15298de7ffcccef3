"""Ways of TensorFlow 2 to cut patches out of images in memory: in a process of their own."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import tensorflow as tf

from ats_mag.layers.sample_patches import extract_patches
from ats_mag.system import memory
from experiments.benchmarks.in_memory.cases import origins

Way: TypeAlias = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]  # (B, *space, C) images, (B, N, n) origins -> patches


class Extraction:
    """Several ways on the same batch of images, by name."""

    def __init__(self, threads: int) -> None:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)

    def load(self, image: str, origin: str, size: Sequence[int]) -> None:
        """Takes paths of `.npy` files, `(B, *space, C)` and `(B, N, n)`, and the sides of a patch."""
        self._batch = tf.constant(np.load(image)), tf.constant(np.load(origin))
        self._ways = ways(size)

    def save(self, name: str, path: str) -> None:
        """Writes the patches to a `.npy` file."""
        np.save(path, self._ways[name](*self._batch))

    def turn(self, name: str, calls: int) -> float:
        """Seconds per call."""
        start = time.perf_counter()
        for _ in range(calls):
            self._ways[name](*self._batch)
        return (time.perf_counter() - start) / calls

    def growth(self, name: str, shape: Sequence[int], size: Sequence[int], n_patches: int) -> dict[str, int]:
        """Bytes by which the process grows at its peak while it reads patches of one large uint8 image."""
        way = ways(size)[name]
        rng = np.random.default_rng(0)
        origin = tf.constant(origins(rng, shape, size, n_patches))
        # Not the first call of its kind, so that no library is loaded meanwhile; the trace and its compilation count.
        way(tf.zeros((shape[0], *(2 * side for side in size), shape[-1]), tf.uint8), origin)
        image = tf.constant(rng.integers(0, 256, shape, dtype=np.uint8))
        memory.forget_peak()
        before = memory.resident()
        way(image, origin)
        return {"image": int(np.prod(shape)), "growth": max(memory.peak() - before, 0)}


def ways(size: Sequence[int]) -> dict[str, Way]:
    """Functions of `(B, *space, C)` images and `(B, N, n)` origins."""

    def ours(image: tf.Tensor, origin: tf.Tensor) -> tf.Tensor:
        return extract_patches(image, origin, size)

    def crop(image: tf.Tensor, origin: tf.Tensor) -> tf.Tensor:
        batch, height, width, channels = image.shape
        n = origin.shape[1]
        first = tf.cast(tf.reshape(origin, (-1, 2)), tf.float32)
        boxes = tf.concat([first, first + tf.constant([side - 1.0 for side in size])], axis=-1)
        boxes /= tf.constant([height - 1.0, width - 1.0] * 2)
        patches = tf.image.crop_and_resize(image, boxes, tf.repeat(tf.range(batch), n), size, method="nearest")
        return tf.reshape(patches, (batch, n, *size, channels))

    return {
        "ours": tf.function(ours),
        "ours, jit_compile": tf.function(ours, jit_compile=True),
        "crop_and_resize": tf.function(crop),
    }
