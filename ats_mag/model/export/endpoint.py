"""A function of a SavedModel, and what several of them share."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from ats_mag.model.network import SlideNetwork
from ats_mag.slides.overview import WHITE


class Endpoint(NamedTuple):
    """One function of a SavedModel.

    Attributes:
        name: under which a process finds it.
        function: from tensors to tensors by name.
        signature: of its arguments.
    """

    name: str
    function: Callable[..., dict[str, tf.Tensor]]
    signature: list[tf.TensorSpec]


def slides_of(path: tf.Tensor, slide_mpp: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Paths `(B,)` and um/px `(B,)`, of one or several of each."""
    path = tf.reshape(path, (-1,))
    return path, tf.broadcast_to(tf.reshape(tf.cast(slide_mpp, tf.float64), (-1,)), tf.shape(path))


def attend(model: SlideNetwork, overview: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """The attention; also of no slides, which not all layers take: they see a white one then."""
    batch = tf.shape(overview)[0]
    more = tf.cast(batch == 0, tf.int32)
    overview = tf.pad(overview, [[0, more], [0, 0], [0, 0], [0, 0]], constant_values=WHITE)
    return model.attend({"overview": overview, "mask": tf.pad(mask, [[0, more], [0, 0], [0, 0]])})[:batch]


def numbers(probabilities: tf.Tensor) -> tf.Tensor:
    """The probabilities; fails where one is no number."""
    return tf.debugging.check_numerics(probabilities, "the model gives NaN or infinite probabilities: train it again")


def assert_tissue(mask: tf.Tensor, path: tf.Tensor) -> tf.Operation:
    """Fails where a mask `(B, h, w)` is empty."""
    found = tf.reduce_any(mask, axis=(1, 2))
    return tf.debugging.Assert(
        tf.reduce_all(found), ["no tissue was found on these slides:", tf.boolean_mask(path, ~found)], summarize=10
    )
