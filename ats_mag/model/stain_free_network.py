"""A feature network that does not see how a patch is stained."""

from __future__ import annotations

import keras
from keras import layers

from ats_mag.model.built_in_networks import feature_network
from ats_mag.tensors import Tensor


@keras.saving.register_keras_serializable("experiments")
class StandardizePatch(layers.Layer):
    """Brings every channel of a patch `(B, P, P, 3)` in 0..255 to mean 128 and deviation 40."""

    def call(self, x: Tensor) -> Tensor:
        ops = keras.ops
        centred = x - ops.mean(x, axis=(1, 2), keepdims=True)
        deviation = ops.sqrt(ops.mean(ops.square(centred), axis=(1, 2), keepdims=True))
        return 128.0 + 40.0 * centred / (deviation + 1.0)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape


def stain_free_network(patch_size: int) -> keras.Model:
    """`feature_network` of standardised patches: it sees structure, and not how strongly or in which colour a patch is stained.

    Args:
        patch_size: P, pixels.

    Returns:
        Patches `(B, P, P, 3)` in 0..255 -> features `(B, D)`.
    """
    inputs = keras.Input((patch_size, patch_size, 3), name="patch")
    return keras.Model(inputs, feature_network(patch_size)(StandardizePatch()(inputs)), name="stain_free_network")
