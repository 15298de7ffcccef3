"""Copying slides to a local disk ahead of their use in a pipeline of records."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf

from ats_mag.records.record import Element, View
from ats_mag.slides.copies.local_copies import LocalCopies
from ats_mag.slides.paths import codes_length, encode_paths

BATCHES_AHEAD = 1  # that wait for the model; the next is being assembled meanwhile
_COPIED_AT_ONCE = 4  # a network file system gives one reader a fraction of what it has


def copy_ahead(loaded: tf.data.Dataset, copies: LocalCopies, length: int, batch_size: int) -> tf.data.Dataset:
    """Replaces each slide's path by that of its copy."""
    # Copies are in the making, in the batch being assembled, in those ahead, in the one in use and, under a distribution
    # strategy or JAX, in one on its way to the device.
    window = copies.window(_COPIED_AT_ONCE + batch_size * (BATCHES_AHEAD + 3))

    def copy(codes: np.ndarray) -> np.ndarray:
        path = window.path(os.fsdecode(codes.astype(np.uint8).tobytes().rstrip(b"\0")))
        (found,) = encode_paths([path])
        return np.pad(found, (0, max(0, length - len(found))))

    def replace(view: View, *label: tf.Tensor) -> Element:
        path = tf.ensure_shape(tf.numpy_function(copy, [view["path"]], tf.int32), (length,))
        return ({**view, "path": path}, *label) if label else {**view, "path": path}

    options = tf.data.Options()
    # Waiting for a file system must not take the threads that the training step runs on.
    options.threading.private_threadpool_size = _COPIED_AT_ONCE + (os.cpu_count() or 1)
    return loaded.map(replace, num_parallel_calls=_COPIED_AT_ONCE, deterministic=True).with_options(options)


def longest_path_codes(
    records: Iterable[dict[str, Any]], slide_root: str | os.PathLike[str], copies: LocalCopies | None
) -> int:
    """The L of path codes that hold the paths of all records and of their copies."""
    paths = [os.path.join(slide_root, r["path"]) for r in records]
    longest = max(len(os.fsencode(path)) if copies is None else copies.longest_path(path) for path in paths)
    return codes_length(longest + 1)
