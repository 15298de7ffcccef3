"""Looking up what an encoder said of cells, and reading and encoding the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from ats_mag.tensors import Geometry, Index, PathCodes, ReadablePatches, Tensor

Encode = Callable[[PathCodes, Index, Geometry, Tensor], tuple[Tensor, ReadablePatches]]


class EncodedCells(Protocol):
    """What a cache offers, see `feature_cache.cache.FeatureCache`.

    Attributes:
        dimension: E, of what the encoder says.
    """

    dimension: int

    def look_up(
        self, path: np.ndarray, cells: np.ndarray, geometry: np.ndarray, turn: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]: ...

    def keep(self, keys: np.ndarray, vectors: np.ndarray, valid: np.ndarray, start: np.ndarray) -> np.ndarray: ...


def encode_cells(
    cache: EncodedCells, path: PathCodes, cells: Index, geometry: Geometry, turn: Tensor, encode: Encode
) -> tuple[Tensor, ReadablePatches]:
    """What the encoder says of the patches of cells; only those that the cache lacks are read and encoded. On TensorFlow only.

    Args:
        cache: of the model's encoder.
        path: `(B, L)` int32, or `(B,)` strings.
        cells: `(B, N, 3)`, of the slides as they lie.
        geometry: `(B, 5)`.
        turn: `(B, 3)`, see `augmentation`.
        encode: ``encode(path, cells, geometry, turn)`` of K slides with one cell each -> `(K, 1, E)`, and which could be read `(K, 1)`.

    Returns:
        `(B, N, E)` float32, and which could be read `(B, N)`.
    """
    import tensorflow as tf

    with tf.device("CPU:0"):
        known, vectors, keys, start = tf.numpy_function(
            cache.look_up, [path, cells, geometry, turn[:, 0]], [tf.bool, tf.float32, tf.uint8, tf.float64]
        )
        known = tf.reshape(known, tf.shape(cells)[:2])
        missing = tf.where(tf.logical_not(known))
    slide = missing[:, 0]
    encoded, valid = encode(
        tf.gather(path, slide),
        tf.gather_nd(cells, missing)[:, None],
        tf.gather(geometry, slide),
        tf.gather(turn, slide),
    )
    encoded, valid = tf.reshape(encoded, (-1, cache.dimension)), tf.reshape(valid, (-1,))
    with tf.device("CPU:0"):
        encoded = tf.numpy_function(cache.keep, [tf.gather_nd(keys, missing), encoded, valid, start], tf.float32)
    encoded = tf.reshape(encoded, (-1, cache.dimension))
    shape = tf.concat([tf.shape(cells)[:2], [cache.dimension]], axis=0)
    vectors = tf.tensor_scatter_nd_update(tf.reshape(vectors, shape), missing, encoded)
    vectors.set_shape((cells.shape[0], cells.shape[1], cache.dimension))
    readable = tf.tensor_scatter_nd_update(known, missing, valid)
    return tf.stop_gradient(vectors), tf.ensure_shape(readable, cells.shape[:2])
