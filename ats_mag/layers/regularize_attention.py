"""A regulariser of the attention as a layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from ats_mag.sampling.regularizers import PACKAGE, AttentionRegularizer
from ats_mag.tensors import Attention, KerasConfig, SlideWeight, Tensor


@keras.saving.register_keras_serializable(PACKAGE)
class RegularizeAttention(keras.layers.Layer):
    """Adds a regulariser's value to the loss, once, and returns its input.

    Keras' `activity_regularizer=` divides the value by the batch size in some releases; the regularisers of this
    package are means over the batch already.

    Args:
        regularizer: a Keras regulariser, or another callable from attention to a scalar.

    Call arguments:
        attention: `(B, ...)` probabilities.
        weight: `(B,)` of the slides, for regularisers of this package. None: they count alike.

    Returns:
        `attention`.
    """

    def __init__(self, regularizer: Callable[[Attention], Tensor] | dict[str, Any], **kwargs: Any) -> None:
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.regularizer = keras.regularizers.get(regularizer)
        strength = getattr(self.regularizer, "strength", None)
        if isinstance(strength, keras.Variable):
            self.strength = strength  # tracked, so that JAX does not compile its value in

    def build(self, attention_shape: tuple, weight_shape: tuple | None = None) -> None:
        """Nothing; Keras' `summary` passes on the shapes under the names that they have here."""

    def call(self, attention: Attention, weight: SlideWeight | None = None) -> Attention:
        weighted = weight is not None and isinstance(self.regularizer, AttentionRegularizer)
        value = self.regularizer(attention, weight) if weighted else self.regularizer(attention)
        self.add_loss(keras.ops.cast(value, keras.config.floatx()))  # as Keras' own losses are, which it is added to
        return attention

    def compute_output_shape(self, attention_shape: tuple, weight_shape: tuple | None = None) -> tuple:
        return attention_shape

    def get_config(self) -> KerasConfig:
        return {**super().get_config(), "regularizer": keras.regularizers.serialize(self.regularizer)}
