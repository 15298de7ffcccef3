"""The model of attention-sampling's `scripts/mnist.py` on this library."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers

import ats_mag


def mnist_networks(
    low: Sequence[int], high: Sequence[int], patch_size: Sequence[int]
) -> tuple[keras.Sequential, keras.Sequential]:
    """The attention and the feature network of github.com/idiap/attention-sampling, scripts/mnist.py, `get_model`."""
    attention = keras.Sequential(
        [
            keras.Input(low),
            layers.Conv2D(8, 3, activation="tanh", padding="same"),
            layers.Conv2D(8, 3, activation="tanh", padding="same"),
            layers.Conv2D(1, 3, padding="same"),
            ats_mag.JointSoftmax(smooth=1e-5),
        ]
    )
    feature = keras.Sequential(
        [
            keras.Input((*patch_size, high[-1])),
            layers.Conv2D(32, 7, activation="relu"),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Conv2D(32, 3, activation="relu"),
            layers.GlobalMaxPooling2D(),
            ats_mag.L2Normalize(),
        ]
    )
    return attention, feature


def mnist_model(low: Sequence[int], high: Sequence[int], n_patches: int, patch_size: Sequence[int]) -> keras.Model:
    """The model of that script, with its defaults."""
    attention, feature = mnist_networks(low, high, patch_size)
    x_low, x_high = keras.Input(low), keras.Input(high)
    features, _, _ = ats_mag.attention_sampling(
        attention, feature, patch_size, n_patches, attention_regularizer=ats_mag.MultinomialEntropy(1e-4)
    )([x_low, x_high])
    return keras.Model([x_low, x_high], layers.Dense(10, activation="softmax")(features))
