"""Trains attention-sampling 0.2 on Megapixel MNIST, in its own environment; `experiments/megapixel.py` starts it."""

import json
import sys

import numpy as np
import tensorflow as tf
from attention_sampling_02 import configuration, mnist_models
from keras import backend
from megapixel_images import Images
from megapixel_run import train


class Contestant:
    """The model of its `scripts/mnist.py`."""

    def __init__(self, low_side, side, n_patches, patch_size, threads, seed):
        np.random.seed(seed)  # noqa: NPY002, what this Keras draws its weights' seeds from
        tf.compat.v1.set_random_seed(seed)
        backend.set_session(tf.compat.v1.Session(config=configuration(threads)))
        shapes = (low_side, low_side, 1), (side, side, 1)
        self._model, self._inspected = mnist_models(*shapes, n_patches, (patch_size, patch_size))
        self.step = self._model.train_on_batch
        self.predict = self._inspected.predict_on_batch


def main(settings):
    images, tests = (Images(f"{settings['images']}/{name}.npz") for name in ("train", "test"))
    contestant = Contestant(
        images.low_side,
        images.side,
        settings["n_patches"],
        settings["patch_size"],
        settings["threads"],
        settings["seed"],
    )
    for epoch in train(contestant, images, tests, settings["epochs"], settings["batch"], settings["seed"]):
        print(json.dumps(epoch), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
