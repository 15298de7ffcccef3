"""One training step and one prediction over every patch of a slide."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf

from ats_mag.slides.reader import read_patches
from ats_mag.system import memory
from experiments.benchmarks.scaling.steps import CHUNK, SIZE, Steps, loss_of


class EveryPatch(Steps):
    """Every patch of the slide at the fine resolution, read and computed in chunks, features averaged.

    A training step cannot hold the activations of a whole slide: it computes the mean without them first, then the
    features of each chunk again with the gradient, which takes longer but always the same memory.
    """

    def __init__(self, path: str, side: int, network: str | None) -> None:
        super().__init__(path, side, network)
        self.feature = self.feature_network()
        self.head = keras.layers.Dense(2, activation="softmax")
        self.head.build((None, self.feature.output_shape[-1]))
        self.variables = [*self.feature.trainable_variables, *self.head.trainable_variables]
        self.optimizer = keras.optimizers.Adam()
        self.optimizer.build(self.variables)
        corners = np.arange(0, side - SIZE + 1, SIZE)
        self.places = np.stack(np.meshgrid(corners, corners), -1).reshape(-1, 2).astype(np.int64)
        chunk = tf.TensorSpec((None, SIZE, SIZE, 3), tf.uint8)
        self._sum = tf.function(self._sum_of_features, input_signature=[chunk, tf.TensorSpec((), tf.bool)])
        self._chunk_gradient = tf.function(self._gradient_of_chunk, input_signature=[chunk, tf.TensorSpec((None,))])
        self.baseline = memory.resident()

    def describe(self) -> dict[str, int]:
        """How many patches the slide has."""
        return {"patches": len(self.places)}

    def warm_train(self) -> None:
        """Traces the graphs of a training step."""
        self._warm(self.train)

    def warm_predict(self) -> None:
        """Traces the graphs of a prediction."""
        self._warm(self.predict)

    def _warm(self, task: Callable[[], object]) -> None:
        """Traces the graphs with a few patches."""
        whole, self.places = self.places, self.places[: 2 * CHUNK]
        task()
        self.places = whole

    def predict(self) -> np.ndarray:
        """Probabilities `(1, C)`."""
        return self.head(self._mean(training=False)[None]).numpy()

    def train(self) -> float:
        """A step; the loss before."""
        mean = self._mean(training=True)
        with tf.GradientTape() as tape:
            tape.watch(mean)
            loss = loss_of(self.head(mean[None]))
        *by_head, by_mean = tape.gradient(loss, [*self.head.trainable_variables, mean])
        total = [tf.zeros_like(variable) for variable in self.feature.trainable_variables]
        for patches in self._chunks():
            gradients = self._chunk_gradient(patches, by_mean / len(self.places))
            total = [a + b for a, b in zip(total, gradients, strict=True)]
        self.optimizer.apply_gradients(zip([*total, *by_head], self.variables, strict=True))
        return float(loss)

    def _mean(self, training: bool) -> tf.Tensor:
        return sum(self._sum(patches, training) for patches in self._chunks()) / len(self.places)

    def _chunks(self) -> Iterator[tf.Tensor]:
        for start in range(0, len(self.places), CHUNK):
            yield read_patches([self.path], self.places[None, start : start + CHUNK], 1.0, (SIZE, SIZE))[0]

    def _features(self, patches: tf.Tensor, training: bool) -> tf.Tensor:
        return tf.math.l2_normalize(self.feature(tf.cast(patches, tf.float32), training=training), axis=-1)

    def _sum_of_features(self, patches: tf.Tensor, training: tf.Tensor) -> tf.Tensor:
        features = tf.cond(training, lambda: self._features(patches, True), lambda: self._features(patches, False))
        return tf.reduce_sum(features, axis=0)

    def _gradient_of_chunk(self, patches: tf.Tensor, by_feature: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            value = tf.reduce_sum(self._features(patches, True) * by_feature)
        return tape.gradient(value, self.feature.trainable_variables)
