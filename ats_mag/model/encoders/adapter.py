"""The small network between a frozen encoder and the attention."""

from __future__ import annotations

import keras
from keras import layers

from ats_mag.system.arguments import positive


def adapter(n_features: int, dimension: int = 64, hidden: int = 128) -> keras.Model:
    """Brings an encoder's features to a chosen number, of zero mean and equal norm.

    The features of an encoder differ in scale from each other by orders of magnitude, and their norms from patch to patch; the
    expectation over patches is learnt sooner where they do not.

    Args:
        n_features: of the encoder.
        dimension: of the features to come.
        hidden: units between.

    Returns:
        A model `(B, n_features)` -> `(B, dimension)` float32.
    """
    dimension, hidden = positive("dimension", dimension), positive("hidden", hidden)
    inputs = keras.Input((n_features,), name="features")
    x = layers.LayerNormalization(dtype="float32", name="incoming")(inputs)
    x = layers.Dense(hidden, activation="gelu", name="hidden")(x)
    x = layers.Dense(dimension, name="adapted")(x)
    x = layers.LayerNormalization(dtype="float32", name="outgoing")(x)
    return keras.Model(inputs, x, name="adapter")
