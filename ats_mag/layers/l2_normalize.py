"""Features of unit length."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from ats_mag.sampling.regularizers import PACKAGE
from ats_mag.tensors import KerasConfig, Tensor


@keras.saving.register_keras_serializable(PACKAGE)
class L2Normalize(keras.layers.Layer):
    """``x / sqrt(max(sum x^2, 1e-12))``, in float32 whatever the model's dtype policy.

    The value and gradient of attention-sampling's layer of that name: finite at 0, where Keras' `UnitNormalization` has
    no gradient on some backends.

    Args:
        axis: the axis, or axes, over which the sum runs.

    Call arguments:
        x: `(..., D)`.

    Returns:
        `(..., D)`.
    """

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Any) -> None:
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.axis = tuple(map(operator.index, axis)) if isinstance(axis, Sequence) else operator.index(axis)

    def call(self, x: Tensor) -> Tensor:
        return x * ops.rsqrt(ops.maximum(ops.sum(x * x, axis=self.axis, keepdims=True), 1e-12))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape

    def get_config(self) -> KerasConfig:
        return {**super().get_config(), "axis": self.axis}
