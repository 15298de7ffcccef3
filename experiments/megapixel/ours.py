"""Trains one of our methods on Megapixel MNIST, in a process of its own.

    python -m experiments.megapixel.ours FOLDER SETTINGS

prints a line of JSON for each test; `experiment.py` starts it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import ats_mag
from experiments.common.gradient_02 import SamplePatches02
from experiments.megapixel.networks import mnist_networks
from experiments.megapixel.reference.images import Images
from experiments.megapixel.reference.training import train
from experiments.megapixel.results import GRADIENT


class Contestant:
    """The model of attention-sampling's `scripts/mnist.py` on this library, see `reference.training.train`."""

    def __init__(self, low_side: int, side: int, settings: Mapping[str, Any]) -> None:
        n_patches, seed, method = (settings[name] for name in ("n_patches", "seed", "method"))
        patch_size = settings["patch_size"], settings["patch_size"]
        keras.utils.set_random_seed(seed)
        low, high = (low_side, low_side, 1), (side, side, 1)
        attention, feature = mnist_networks(low, high, patch_size)
        x_low, x_high = keras.Input(low), keras.Input(high)
        map_ = attention(x_low)
        regularized = ats_mag.RegularizeAttention(ats_mag.MultinomialEntropy(1e-4))(map_)
        kind = SamplePatches02 if method == GRADIENT else ats_mag.SamplePatches
        sampler = kind(n_patches, patch_size, "sequential" if method == GRADIENT else method, seed=seed)
        patches, weight, _ = sampler([x_low, x_high, regularized])
        features = keras.ops.reshape(patches, (-1, *patch_size, 1))
        features = keras.ops.reshape(feature(features), (-1, n_patches, 32))
        probabilities = keras.layers.Dense(10, activation="softmax")(ats_mag.Expectation()([features, weight]))
        self._model = keras.Model([x_low, x_high], probabilities)
        optimizer = keras.optimizers.Adam(settings["learning_rate"], global_clipnorm=1)  # as its Keras clips
        self._model.compile(optimizer, "categorical_crossentropy")
        self._inspected = keras.Model([x_low, x_high], [probabilities, map_])

    def step(self, x: list[np.ndarray], y: np.ndarray) -> float:
        """Trains on a batch; the loss before."""
        self._model.reset_metrics()  # else the loss is a mean over steps
        return self._model.train_on_batch(x, y)

    def predict(self, x: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities `(B, 10)` and attention `(B, h, h)`."""
        probabilities, attention = self._inspected.predict_on_batch(x)
        return probabilities, attention.reshape(attention.shape[:3])


def tests(folder: str, settings: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What each test of a run finds."""
    tf.config.threading.set_intra_op_parallelism_threads(settings["threads"])
    tf.config.threading.set_inter_op_parallelism_threads(settings["threads"])
    images, tests = (Images(f"{folder}/{name}.npz", settings["most_images"]) for name in ("train", "test"))
    contestant = Contestant(images.low_side, images.side, settings)
    schedule = (settings[name] for name in ("epochs", "batch", "seed", "tests_per_epoch"))
    return train(contestant, images, tests, *schedule)


if __name__ == "__main__":
    for found in tests(sys.argv[1], json.loads(sys.argv[2])):
        print(json.dumps(found), flush=True)
