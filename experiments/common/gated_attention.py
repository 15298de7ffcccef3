"""All patches of a slide with gated attention pooling, trained end to end: what one would do without sampling.

Source: Ilse, Tomczak & Welling, "Attention-based deep multiple instance learning" (ICML 2018), equations 8 and 9. A bag is every
cell of the lattice whose tissue the sampling model could look at, at every magnification; its patches are held in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

import ats_mag


class Bag(NamedTuple):
    """A slide's patches `(n, P, P, 3)` uint8, or their features `(n, D)`, and their cells `(n, 3)`: row, column, magnification."""

    patches: np.ndarray
    cells: np.ndarray

    def turned(self, turn: int) -> Bag:
        """With its patches turned as their slide is by one of the eight symmetries of a square, 0 to 7."""
        patches = np.rot90(self.patches, turn % 4, axes=(1, 2))
        return self._replace(patches=patches[:, :, ::-1] if turn > 3 else patches)


class GatedAttention(keras.Model):
    """Probabilities of slides from all of their patches.

    Args:
        n_classes: of the single label.
        feature: network of the patches; None: these are features already.
        hidden: units of the attention's two branches.

    Call arguments:
        patches: `(n, P, P, 3)`, or features `(n, D)`, of all slides of a batch, one after the other.
        slide: `(n,)` int32, the number of each patch's slide within the batch, rising.
        n_slides: B.

    Returns:
        Probabilities `(B, C)`, and the attention of each patch within its slide `(n,)`.
    """

    def __init__(self, n_classes: int, feature: keras.Model | None, hidden: int = 64) -> None:
        super().__init__()
        self.feature = feature or layers.Identity()
        self.tanh = layers.Dense(hidden, activation="tanh")
        self.gate = layers.Dense(hidden, activation="sigmoid")
        self.score = layers.Dense(1, use_bias=False)
        self.head = layers.Dense(n_classes, activation="softmax")

    def call(self, patches: tf.Tensor, slide: tf.Tensor, n_slides: tf.Tensor | int) -> tuple[tf.Tensor, tf.Tensor]:
        return self.pool(self.feature(ops.cast(patches, "float32")), slide, n_slides)

    def pool(self, features: tf.Tensor, slide: tf.Tensor, n_slides: tf.Tensor | int) -> tuple[tf.Tensor, tf.Tensor]:
        """As `call`, from features `(n, D)`."""
        score = self.score(self.tanh(features) * self.gate(features))[:, 0]
        highest = tf.math.unsorted_segment_max(ops.stop_gradient(score), slide, n_slides)
        weight = ops.exp(score - tf.gather(highest, slide))
        attention = weight / tf.gather(tf.math.unsorted_segment_sum(weight, slide, n_slides), slide)
        pooled = tf.math.unsorted_segment_sum(attention[:, None] * features, slide, n_slides)
        return self.head(pooled), attention


class Trainer:
    """Steps and predictions of a `GatedAttention`; one graph whatever the sizes of the bags.

    Args:
        model: built by its first call.
        optimizer: of the steps.
        like: one of the bags.
    """

    def __init__(self, model: GatedAttention, optimizer: keras.optimizers.Optimizer, like: Bag) -> None:
        self.model, self.optimizer = model, optimizer
        patches = tf.TensorSpec((None, *like.patches.shape[1:]), like.patches.dtype)
        numbers = tf.TensorSpec((None,), tf.int32)
        self._step = tf.function(self._step_of, input_signature=[patches, numbers, numbers])
        self._predict = tf.function(model.__call__, input_signature=[patches, numbers, tf.TensorSpec((), tf.int32)])
        self.predict(like)  # builds the weights

    def step(self, bags: Sequence[Bag], labels: Sequence[int]) -> float:
        """Trains on a batch; the loss before."""
        return float(self._step(*_joined(bags), np.array(labels, np.int32)))

    def predict(self, bag: Bag) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities `(C,)` and attention `(n,)` of one slide."""
        patches, slide = _joined([bag])
        probabilities, attention = self._predict(patches, slide, tf.constant(1))
        return probabilities.numpy()[0], attention.numpy()

    def _step_of(self, patches: tf.Tensor, slide: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            probabilities, _ = self.model(patches, slide, tf.shape(labels)[0])
            loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(labels, probabilities))
        weights = self.model.trainable_variables
        self.optimizer.apply(tape.gradient(loss, weights), weights)
        return loss


def _joined(bags: Sequence[Bag]) -> tuple[np.ndarray, np.ndarray]:
    sizes = [len(bag.patches) for bag in bags]
    return np.concatenate([bag.patches for bag in bags]), np.repeat(np.arange(len(bags), dtype=np.int32), sizes)


def read_bags(model: ats_mag.SlideClassifier, slides: tf.data.Dataset) -> Iterator[Bag]:
    """Every patch that a model could look at, read as it reads them.

    Args:
        model: its lattice, tissue and reader count; its weights do not.
        slides: inputs of one slide each.
    """
    for inputs in slides:
        valid = ops.convert_to_numpy(model.cells(inputs["mask"]))[0]
        magnifications = len(model.magnifications)
        cells = np.array([(*cell, m) for m in range(magnifications) for cell in np.argwhere(valid)], np.int32)
        patches, _ = model.read(inputs, tf.constant(cells[None]))
        yield Bag(patches.numpy()[0], cells)
