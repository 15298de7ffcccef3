"""One training step and one prediction of ours, given the attention."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from ats_mag.sampling.draws import Samples
from ats_mag.slides.paths import encode_paths
from ats_mag.system import memory
from ats_mag.tensors import Probabilities
from experiments.benchmarks.scaling.steps import FINE, OVERVIEW, PATCHES, Steps, loss_of


class Sampled(Steps):
    """Ours, given the attention: draw, read, features, expectation, head, and the gradient back to the attention."""

    def __init__(self, path: str, side: int, network: str | None) -> None:
        super().__init__(path, side, network)
        self.model = model = self.classifier()
        self.variables = [*model.feature.trainable_variables, *model.head.trainable_variables]
        self.optimizer = keras.optimizers.Adam()
        self.optimizer.build(self.variables)
        cells = round(side * FINE / OVERVIEW) // model.lattice.stride
        attention = np.random.default_rng(0).exponential(size=(1, cells, cells, 2)).astype(np.float32)
        self.cells = attention.size
        self.attention = tf.constant(attention / attention.sum())
        self.inputs = {
            "path": tf.constant(encode_paths([path])),
            "geometry": tf.constant([[0, 0, side, side, round(FINE * 1e7)]], tf.int64),
        }
        self._train, self._predict = tf.function(self._train_step), tf.function(self._prediction)
        self._sample_gradient = tf.function(self._draw_with_gradient)
        self.baseline = memory.resident()

    def train(self) -> list[np.ndarray]:
        """A step: the loss, and its gradient by the attention."""
        return [tensor.numpy() for tensor in self._train()]

    def predict(self) -> np.ndarray:
        """Probabilities `(1, C)`."""
        return self._predict().numpy()

    def sample(self) -> np.ndarray:
        """The draw alone, with its gradient."""
        return self._sample_gradient().numpy()

    def read(self) -> np.ndarray:
        """Reads patches at random cells."""
        index = np.random.default_rng().integers(0, self.attention.shape[1:], (1, PATCHES, 3))
        return self.model.read(self.inputs, tf.constant(index, tf.int32))[0].numpy()

    def describe(self) -> dict[str, int]:
        """How many cells the lattice has."""
        return {"cells": self.cells}

    def _classify(self, samples: Samples, training: bool) -> Probabilities:
        patches, valid = self.model.read(self.inputs, samples.index)
        weight = tf.where(valid, samples.weight, 0.0)
        return self.model.classify(self.model.features_of(patches, training), weight)

    def _train_step(self) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(self.attention)
            samples = self.model.draw(self.attention, training=True)
            loss = loss_of(self._classify(samples, training=True))
        *gradients, by_attention = tape.gradient(loss, [*self.variables, self.attention])
        self.optimizer.apply_gradients(zip(gradients, self.variables, strict=True))
        return loss, by_attention

    def _prediction(self) -> Probabilities:
        return self._classify(self.model.draw(self.attention), training=False)

    def _draw_with_gradient(self) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(self.attention)
            weight = self.model.draw(self.attention, training=True).weight
        return tape.gradient(weight, self.attention)
