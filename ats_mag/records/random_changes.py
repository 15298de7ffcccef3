"""Random changes of a training slide, drawn while its record is loaded; `augmentation` says what becomes of its patches."""

from __future__ import annotations

import math

import tensorflow as tf

from ats_mag.config.schema import AugmentConfig
from ats_mag.records.augmentation import COLOUR_FIELDS, TURNS
from ats_mag.records.record import View


def augmented(view: View, augment: AugmentConfig, seed: tf.Tensor) -> View:
    """A slide turned, and with the numbers that the model turns and recolours its patches by."""
    view = dict(view)
    if augment.flips:
        turn = tf.random.stateless_uniform((), seed, 0, TURNS, tf.int32)
        view["overview"], view["mask"] = (turned(view[name], turn) for name in ("overview", "mask"))
        view["turn"] = tf.concat([[turn], tf.shape(view["mask"])], axis=0)
    if augment.stain or augment.brightness or augment.contrast:
        low, high = seed[0], seed[1]
        change = tf.random.stateless_uniform((len(COLOUR_FIELDS),), tf.stack([low, ~high]), -1.0, 1.0)
        grey = 0.5 + augment.brightness * change[3]  # what becomes of 0.5
        gamma = tf.math.log(grey) / math.log(0.5)
        stains, contrast = 1 + augment.stain * change[:3], 1 + augment.contrast * change[4]
        view["colour"] = tf.concat([stains, [gamma, contrast]], axis=0)
    return view


def turned(image: tf.Tensor, turn: tf.Tensor) -> tf.Tensor:
    """An image `(h, w, ...)` turned by one of `augmentation`'s eight turns."""
    axes = [1, 0, *range(2, image.shape.rank)]
    shape = [None, None, *image.shape[2:]]
    image = tf.cond(turn % 2 == 1, lambda: tf.transpose(image, axes), lambda: image)
    image = tf.cond(turn // 2 % 2 == 1, lambda: tf.reverse(image, [0]), lambda: image)
    image = tf.cond(turn // 4 % 2 == 1, lambda: tf.reverse(image, [1]), lambda: image)
    return tf.ensure_shape(image, shape)
