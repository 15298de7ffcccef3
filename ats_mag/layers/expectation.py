"""The estimate of the expected feature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from ats_mag.sampling.regularizers import PACKAGE
from ats_mag.tensors import Tensor


@keras.saving.register_keras_serializable(PACKAGE)
class Expectation(keras.layers.Layer):
    """``sum_i weight_i * feature_i``, unbiased in value and gradient when the weights come from `sample`.

    Computed in float32 whatever the model's dtype policy.

    Call arguments:
        inputs: `[features (B, N, D...), weight (B, N)]`.

    Returns:
        `(B, D...)`.
    """

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        features, weight = inputs
        for _ in range(len(features.shape) - 2):
            weight = weight[..., None]
        return ops.sum(features * weight, axis=1)

    def compute_output_shape(self, input_shape: list[tuple]) -> tuple:
        return (input_shape[0][0], *input_shape[0][2:])
