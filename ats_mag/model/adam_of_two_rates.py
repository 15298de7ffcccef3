"""Adam with a learning rate of its own for an encoder."""

from __future__ import annotations

from typing import Any

import keras

from ats_mag.sampling.regularizers import PACKAGE
from ats_mag.tensors import KerasConfig, Tensor


@keras.saving.register_keras_serializable(PACKAGE)
class AdamOfTwoRates(keras.optimizers.Adam):
    """Adam in which the variables of an encoder learn at a share of the learning rate.

    The share scales the step, not the gradient, of whose scale Adam makes nothing.

    Args:
        learning_rate: of all other variables, or a schedule.
        encoder_share: of it, for the variables of the encoder of an `AdaptedEncoder`.

    All other arguments are those of `keras.optimizers.Adam`.
    """

    def __init__(
        self, learning_rate: Any = 1e-3, encoder_share: float = 1.0, name: str = "adam", **kwargs: Any
    ) -> None:
        super().__init__(learning_rate, name=name, **kwargs)
        self.encoder_share = encoder_share

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: Tensor) -> None:
        learnt = self._trainable_variables[self._get_variable_index(variable)]
        if getattr(learnt, "of_encoder", False):
            learning_rate = learning_rate * keras.ops.cast(self.encoder_share, learning_rate.dtype)
        super().update_step(gradient, variable, learning_rate)

    def get_config(self) -> KerasConfig:
        return {**super().get_config(), "encoder_share": self.encoder_share}
