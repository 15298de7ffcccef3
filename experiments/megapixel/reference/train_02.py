"""Trains attention-sampling 0.2 on Megapixel MNIST, in an environment of its own.

    ENV/bin/python experiments/megapixel/reference/train_02.py FOLDER SETTINGS


prints a line of JSON with the versions of the environment, then one for each test; `experiment.py` starts it.
"""

import json
import platform
import sys

import numpy as np
import pkg_resources
import tensorflow as tf
from attention_sampling_02 import configuration, mnist_models
from images import Images
from keras import backend
from training import train

PACKAGES = ("attention-sampling", "tensorflow", "keras", "numpy")


class Contestant:
    """The model of its `scripts/mnist.py`."""

    def __init__(self, low_side, side, settings):
        np.random.seed(settings["seed"])  # noqa: NPY002, what this Keras draws its weights' seeds from
        tf.compat.v1.set_random_seed(settings["seed"])
        backend.set_session(tf.compat.v1.Session(config=configuration(settings["threads"])))
        patch_size = settings["patch_size"], settings["patch_size"]
        self._model, self._inspected = mnist_models(
            (low_side, low_side, 1), (side, side, 1), settings["n_patches"], patch_size, settings["learning_rate"]
        )
        self.step = self._model.train_on_batch
        self.predict = self._inspected.predict_on_batch


def main(folder, settings):
    versions = {name: pkg_resources.get_distribution(name).version for name in PACKAGES}
    print(json.dumps({"reference_versions": {"python": platform.python_version(), **versions}}), flush=True)
    images, tests = (Images(f"{folder}/{name}.npz", settings["most_images"]) for name in ("train", "test"))
    contestant = Contestant(images.low_side, images.side, settings)
    schedule = (settings[name] for name in ("epochs", "batch", "seed", "tests_per_epoch"))
    for found in train(contestant, images, tests, *schedule):
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
