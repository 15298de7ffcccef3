"""Trains one of our methods on Megapixel MNIST; `experiments/megapixel.py` starts it.

Prints a line of JSON for each test.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "reference"))
sys.path.insert(0, str(Path(__file__).resolve().parent / "benchmarks"))  # whose megapixel.py has the networks

import keras
import tensorflow as tf
from gradient_02 import SamplePatches02
from megapixel import mnist_networks
from megapixel_images import Images
from megapixel_run import train

import ats_mag


class Contestant:
    """The model of attention-sampling's `scripts/mnist.py` on this library, see `megapixel_run.train`."""

    def __init__(self, low_side: int, side: int, settings: Mapping[str, Any]) -> None:
        n_patches, seed, method = (settings[name] for name in ("n_patches", "seed", "method"))
        patch_size = settings["patch_size"], settings["patch_size"]
        keras.utils.set_random_seed(seed)
        low, high = (low_side, low_side, 1), (side, side, 1)
        attention, feature = mnist_networks(low, high, patch_size)
        x_low, x_high = keras.Input(low), keras.Input(high)
        map_ = attention(x_low)
        regularized = ats_mag.RegularizeAttention(ats_mag.MultinomialEntropy(1e-4))(map_)
        gradient_of_02 = method not in ats_mag.sampling.weights.METHODS
        kind = SamplePatches02 if gradient_of_02 else ats_mag.SamplePatches
        sampler = kind(n_patches, patch_size, "sequential" if gradient_of_02 else method, seed=seed)
        patches, weight, _ = sampler([x_low, x_high, regularized])
        features = keras.ops.reshape(patches, (-1, *patch_size, 1))
        features = keras.ops.reshape(feature(features), (-1, n_patches, 32))
        probabilities = keras.layers.Dense(10, activation="softmax")(ats_mag.Expectation()([features, weight]))
        self._model = keras.Model([x_low, x_high], probabilities)
        optimizer = keras.optimizers.Adam(settings["learning_rate"], global_clipnorm=1)  # as its Keras clips
        self._model.compile(optimizer, "categorical_crossentropy")
        self._inspected = keras.Model([x_low, x_high], [probabilities, map_])

    def step(self, x: Any, y: Any) -> float:
        self._model.reset_metrics()  # else the loss is a mean over steps
        return self._model.train_on_batch(x, y)

    def predict(self, x: Any) -> Any:
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
