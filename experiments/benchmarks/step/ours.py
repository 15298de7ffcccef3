"""A training step of the model of attention-sampling's `scripts/mnist.py` on this library, in a process of its own."""

from __future__ import annotations

import time
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from experiments.megapixel.networks import mnist_model


class Step:
    """A training step."""

    def __init__(self, threads: int, n_patches: int, patch_size: Sequence[int], jit_compile: bool) -> None:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        self._settings = n_patches, tuple(patch_size)
        self._jit_compile = jit_compile

    def load(self, low: str, high: str, label: str) -> int:
        """Takes paths of `.npy` files, `(B, h, w, 1)`, `(B, H, W, 1)` and one-hot `(B, 10)`.

        Returns the number of trainable parameters.
        """
        self._batch = [np.load(low), np.load(high)], np.load(label)
        (x_low, x_high), _ = self._batch
        self._model = mnist_model(x_low.shape[1:], x_high.shape[1:], *self._settings)
        self._model.compile(
            keras.optimizers.Adam(1e-3, global_clipnorm=1), "categorical_crossentropy", jit_compile=self._jit_compile
        )
        return int(sum(np.prod(weight.shape) for weight in self._model.trainable_weights))

    def turn(self) -> tuple[float, float]:
        """Seconds, and the loss before the step."""
        start = time.perf_counter()
        self._model.reset_metrics()  # else the loss is a mean over steps
        loss = float(self._model.train_on_batch(*self._batch))
        return time.perf_counter() - start, loss
