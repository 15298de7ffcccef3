"""attention-sampling 0.2 as a contestant: runs in an environment of its own (Python 3.7, TensorFlow 1.15).

The docstring of this folder says how to make that environment; `experiments/benchmarks/reference.py` starts this in it.
"""

import time

import numpy as np
import tensorflow as tf
from ats.core import attention_sampling
from ats.ops.extract_patches import extract_patches
from ats.utils.layers import L2Normalize, SampleSoftmax
from ats.utils.regularizers import multinomial_entropy
from keras import backend
from keras.layers import Conv2D, Dense, GlobalMaxPooling2D, Input
from keras.models import Model, Sequential
from keras.optimizers import Adam

tf.compat.v1.logging.set_verbosity(tf.compat.v1.logging.ERROR)


class Extraction:
    """Its C++ op on one batch of images."""

    def __init__(self, threads):
        self._config = configuration(threads)
        self._session = None

    def load(self, image, origin, size):
        """Takes paths of `.npy` files, `(B, *space, C)` and `(B, N, n)`, and the sides of a patch."""
        if self._session is not None:
            self._session.close()
        with tf.Graph().as_default():
            # A variable, for a fed array would be copied each time.
            feed = tf.compat.v1.placeholder(tf.float32, np.load(image, mmap_mode="r").shape)
            images = tf.Variable(feed, use_resource=True)
            patches = extract_patches(images.read_value(), tf.constant(np.load(origin)), list(size))
            self._session = tf.compat.v1.Session(config=self._config)
            self._session.run(images.initializer, {feed: np.load(image)})
            self._run = self._session.make_callable(patches.op)
            self._patches = self._session.make_callable(patches)

    def save(self, name, path):
        """Writes the patches to a `.npy` file; `name` is there for contestants that know several ways."""
        np.save(path, self._patches())

    def turn(self, name, calls):
        """Seconds per call."""
        start = time.perf_counter()
        for _ in range(calls):
            self._run()
        return (time.perf_counter() - start) / calls


class Step:
    """A training step of the model of its `scripts/mnist.py`."""

    def __init__(self, threads, n_patches, patch_size):
        self._settings = n_patches, tuple(patch_size)
        backend.set_session(tf.compat.v1.Session(config=configuration(threads)))

    def load(self, low, high, label):
        """Takes paths of `.npy` files, `(B, h, w, 1)`, `(B, H, W, 1)` and one-hot `(B, 10)`.

        Returns the number of trainable parameters.
        """
        self._batch = [np.load(low), np.load(high)], np.load(label)
        (x_low, x_high), _ = self._batch
        self._model = mnist_model(x_low.shape[1:], x_high.shape[1:], *self._settings)
        return int(sum(np.prod(w.shape.as_list()) for w in self._model.trainable_weights))

    def turn(self):
        """Seconds, and the loss before the step."""
        start = time.perf_counter()
        loss = float(self._model.train_on_batch(*self._batch))
        return time.perf_counter() - start, loss


def configuration(threads):
    return tf.compat.v1.ConfigProto(intra_op_parallelism_threads=threads, inter_op_parallelism_threads=threads)


def mnist_model(low, high, n_patches, patch_size):
    """`get_model` and `get_optimizer` of scripts/mnist.py with their defaults, without metrics."""
    return mnist_models(low, high, n_patches, patch_size)[0]


def mnist_models(low, high, n_patches, patch_size, learning_rate=1e-3):
    """The model, and one that gives probabilities and attention."""
    attention = Sequential(
        [
            Conv2D(8, 3, activation="tanh", padding="same", input_shape=low),
            Conv2D(8, 3, activation="tanh", padding="same"),
            Conv2D(1, 3, padding="same"),
            SampleSoftmax(squeeze_channels=True, smooth=1e-5),
        ]
    )
    feature = Sequential(
        [
            Conv2D(32, 7, activation="relu", input_shape=high),
            Conv2D(32, 3, activation="relu"),
            Conv2D(32, 3, activation="relu"),
            Conv2D(32, 3, activation="relu"),
            GlobalMaxPooling2D(),
            L2Normalize(),
        ]
    )
    x_low, x_high = Input(low), Input(high)
    features, attention_map, _ = attention_sampling(
        attention, feature, patch_size, n_patches, attention_regularizer=multinomial_entropy(1e-4)
    )([x_low, x_high])
    probabilities = Dense(10, activation="softmax")(features)
    model = Model([x_low, x_high], probabilities)
    model.compile(Adam(learning_rate, clipnorm=1), "categorical_crossentropy")
    return model, Model([x_low, x_high], [probabilities, attention_map])
