"""From a transformer's tokens to one vector."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from ats_mag.sampling.regularizers import PACKAGE
from ats_mag.tensors import KerasConfig, Tensor

POOLS = ("cls", "mean", "cls+mean")


@keras.saving.register_keras_serializable(PACKAGE)
class TokenPool(keras.layers.Layer):
    """The class token, the mean of the image's tokens, or both one behind the other; in float32.

    Args:
        pool: `cls`, `mean` or `cls+mean`. The mean leaves the class token and the registers out.
        n_prefix: tokens before those of the image.

    Call arguments:
        x: `(B, T, D)`.

    Returns:
        `(B, D)`; of `cls+mean` `(B, 2 D)`.
    """

    def __init__(self, pool: str, n_prefix: int, **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})
        if pool not in POOLS:
            raise ValueError(f"pool must be one of {', '.join(map(repr, POOLS))}. Received: pool={pool!r}")
        self.pool, self.n_prefix = pool, n_prefix

    def call(self, x: Tensor) -> Tensor:
        parts = {"cls": x[:, 0], "mean": ops.mean(x[:, self.n_prefix :], axis=1)}
        return ops.concatenate([parts[name] for name in self.pool.split("+")], axis=-1)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (input_shape[0], input_shape[2] * len(self.pool.split("+")))

    def get_config(self) -> KerasConfig:
        return {**super().get_config(), "pool": self.pool, "n_prefix": self.n_prefix}
