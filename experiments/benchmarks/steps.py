"""One training step and one prediction on a slide: ours, its attention apart, and over every patch of the slide.

The contestants of `scaling.py`, each in a process of its own. All have the same untrained feature
network; the batch is one slide.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import keras
import memory
import numpy as np
import tensorflow as tf

import ats_mag
from ats_mag.sampling.regularizers import MagnificationEntropy, PlaceEntropy
from ats_mag.slides.overview import WHITE, pad_to_multiple, view_slide
from ats_mag.slides.paths import encode_paths
from ats_mag.slides.reader import read_patches

SIZE, PATCHES, CHUNK = 224, 16, 32
FINE, COARSE, OVERVIEW = 0.5, 2.0, 8.0  # um/px
LABEL = np.zeros((1,), np.int32)


class Steps:
    """What is measured of a process: named things to do, and its memory.

    Args:
        path: of the slide.
        side: its width and height.
        network: the feature network, of `keras.applications`; None: the built-in one.
    """

    def __init__(self, path: str, side: int, network: str | None) -> None:
        self.path, self.side, self.network = path, side, network
        self.baseline = self.most = 0

    def do(self, name: str) -> dict[str, float]:
        """Does it once: seconds on the clock, and the most memory meanwhile, in MiB above the baseline."""
        step: Callable[[], Any] = getattr(self, name)
        self.most = max(self.most, memory.largest())
        memory.forget_peak()
        begun = time.perf_counter()
        step()
        seconds = time.perf_counter() - begun
        peak = memory.peak()
        self.most = max(self.most, peak)
        return {"seconds": seconds, "peak_mib": (peak - self.baseline) / memory.MIB}

    def held(self) -> dict[str, float]:
        """MiB that the process held with its networks made, and the most it ever took above that."""
        most = max(self.most, memory.largest())
        return {"baseline_mib": self.baseline / memory.MIB, "peak_mib": (most - self.baseline) / memory.MIB}

    def _feature_network(self) -> keras.Model:
        if self.network is None:
            return ats_mag.feature_network(SIZE)
        return ats_mag.application_network(self.network, SIZE)

    def _classifier(self) -> ats_mag.SlideClassifier:
        feature = self._feature_network()
        return ats_mag.SlideClassifier(
            2,
            (FINE, COARSE),
            SIZE,
            PATCHES,
            OVERVIEW,
            feature=feature,
            explore_steps=0,
            auxiliary=0,
            regularizers=(),
            seed=0,
        )


class Sampled(Steps):
    """Ours, given the attention: draw, read, features, expectation, head, and the gradient back to the attention."""

    def __init__(self, path: str, side: int, network: str | None) -> None:
        super().__init__(path, side, network)
        self.model = model = self._classifier()
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

    def train(self) -> Any:
        return [tensor.numpy() for tensor in self._train()]

    def predict(self) -> Any:
        return self._predict().numpy()

    def sample(self) -> Any:
        return self._sample_gradient().numpy()

    def read(self) -> Any:
        index = np.random.default_rng().integers(0, self.attention.shape[1:], (1, PATCHES, 3))
        return self.model.read(self.inputs, tf.constant(index, tf.int32))[0].numpy()

    def describe(self) -> dict[str, Any]:
        return {"cells": self.cells}

    def _classify(self, samples: Any, training: bool) -> Any:
        patches, valid = self.model.read(self.inputs, samples.index)
        weight = tf.where(valid, samples.weight, 0.0)
        return self.model.classify(self.model.features_of(patches, training), weight)

    def _train_step(self) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            tape.watch(self.attention)
            samples = self.model.draw(self.attention, training=True)
            loss = _loss(self._classify(samples, training=True))
        *gradients, by_attention = tape.gradient(loss, [*self.variables, self.attention])
        self.optimizer.apply_gradients(zip(gradients, self.variables, strict=True))
        return loss, by_attention

    def _prediction(self) -> Any:
        return self._classify(self.model.draw(self.attention), training=False)

    def _draw_with_gradient(self) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(self.attention)
            weight = self.model.draw(self.attention, training=True).weight
        return tape.gradient(weight, self.attention)


class Attention(Steps):
    """What grows with the slide's area: its overview (a 256th of its pixels), and the attention network over it."""

    def __init__(self, path: str, side: int, network: str | None) -> None:
        super().__init__(path, side, network)
        self.model = model = self._classifier()
        self.penalties = [PlaceEntropy(0.03), MagnificationEntropy(0.3)]
        self.overview: Any = None
        self._train, self._predict = tf.function(self._train_step), tf.function(model.attend)
        self.baseline = memory.resident()

    def look(self) -> None:
        """Reads the overview and finds the tissue."""
        view, stride = view_slide(self.path, OVERVIEW), self.model.lattice.stride
        image, mask = pad_to_multiple(view.image, stride, WHITE), pad_to_multiple(view.mask, stride, 0)
        self.overview = {"overview": image[None], "mask": mask[None]}

    def train(self) -> Any:
        return [tensor.numpy() for tensor in self._train(self._seen())]

    def predict(self) -> Any:
        return self._predict(self._seen()).numpy()

    def _seen(self) -> Any:
        if self.overview is None:
            self.look()
        return self.overview

    def _train_step(self, inputs: Any) -> Any:
        with tf.GradientTape() as tape:
            attention = self.model.attend(inputs, training=True)
            penalty = sum(regularizer(attention) for regularizer in self.penalties)
        return tape.gradient(penalty, self.model.attention.trainable_variables)


class EveryPatch(Steps):
    """Every patch of the slide at the fine resolution, read and computed in chunks, features averaged.

    A training step cannot hold the activations of a whole slide: it computes the mean without them first, then the
    features of each chunk again with the gradient, which takes longer but always the same memory.
    """

    def __init__(self, path: str, side: int, network: str | None) -> None:
        super().__init__(path, side, network)
        self.feature = self._feature_network()
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

    def describe(self) -> dict[str, Any]:
        return {"patches": len(self.places)}

    def warm_train(self) -> None:
        self._warm(self.train)

    def warm_predict(self) -> None:
        self._warm(self.predict)

    def _warm(self, task: Callable[[], Any]) -> None:
        """Traces the graphs with a few patches."""
        whole, self.places = self.places, self.places[: 2 * CHUNK]
        task()
        self.places = whole

    def predict(self) -> Any:
        return self.head(self._mean(training=False)[None]).numpy()

    def train(self) -> Any:
        mean = self._mean(training=True)
        with tf.GradientTape() as tape:
            tape.watch(mean)
            loss = _loss(self.head(mean[None]))
        *by_head, by_mean = tape.gradient(loss, [*self.head.trainable_variables, mean])
        total = [tf.zeros_like(variable) for variable in self.feature.trainable_variables]
        for patches in self._chunks():
            gradients = self._chunk_gradient(patches, by_mean / len(self.places))
            total = [a + b for a, b in zip(total, gradients, strict=True)]
        self.optimizer.apply_gradients(zip([*total, *by_head], self.variables, strict=True))
        return loss.numpy()

    def _mean(self, training: bool) -> Any:
        return sum(self._sum(patches, training) for patches in self._chunks()) / len(self.places)

    def _chunks(self) -> Any:
        for start in range(0, len(self.places), CHUNK):
            yield read_patches([self.path], self.places[None, start : start + CHUNK], 1.0, (SIZE, SIZE))[0]

    def _features(self, patches: Any, training: bool) -> Any:
        return tf.math.l2_normalize(self.feature(tf.cast(patches, tf.float32), training=training), axis=-1)

    def _sum_of_features(self, patches: Any, training: Any) -> Any:
        features = tf.cond(training, lambda: self._features(patches, True), lambda: self._features(patches, False))
        return tf.reduce_sum(features, axis=0)

    def _gradient_of_chunk(self, patches: Any, by_feature: Any) -> Any:
        with tf.GradientTape() as tape:
            value = tf.reduce_sum(self._features(patches, True) * by_feature)
        return tape.gradient(value, self.feature.trainable_variables)


def _loss(probabilities: Any) -> Any:
    return tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(LABEL, probabilities))
