"""The model of attention-sampling's `scripts/mnist.py` on this library: contestants of `step.py`, in their own process."""

from __future__ import annotations

import time
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from ats_mag.layers.in_memory import attention_sampling
from ats_mag.layers.joint_softmax import JointSoftmax
from ats_mag.layers.l2_normalize import L2Normalize
from ats_mag.sampling.regularizers import MultinomialEntropy


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


def mnist_networks(
    low: Sequence[int], high: Sequence[int], patch_size: Sequence[int]
) -> tuple[keras.Sequential, keras.Sequential]:
    """The attention and the feature network of github.com/idiap/attention-sampling, scripts/mnist.py, `get_model`."""
    attention = keras.Sequential(
        [
            keras.Input(low),
            layers.Conv2D(8, 3, activation="tanh", padding="same"),
            layers.Conv2D(8, 3, activation="tanh", padding="same"),
            layers.Conv2D(1, 3, padding="same"),
            JointSoftmax(smooth=1e-5),
        ]
    )
    feature = keras.Sequential(
        [
            keras.Input((*patch_size, high[-1])),
            layers.Conv2D(32, 7, activation="relu"),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Conv2D(32, 3, activation="relu"),
            layers.GlobalMaxPooling2D(),
            L2Normalize(),
        ]
    )
    return attention, feature


def mnist_model(low: Sequence[int], high: Sequence[int], n_patches: int, patch_size: Sequence[int]) -> keras.Model:
    """The model of that script, with its defaults."""
    attention, feature = mnist_networks(low, high, patch_size)
    x_low, x_high = keras.Input(low), keras.Input(high)
    features, _, _ = attention_sampling(
        attention, feature, patch_size, n_patches, attention_regularizer=MultinomialEntropy(1e-4)
    )([x_low, x_high])
    return keras.Model([x_low, x_high], layers.Dense(10, activation="softmax")(features))
