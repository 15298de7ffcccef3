"""One softmax over places and magnifications."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from ats_mag.sampling.regularizers import PACKAGE
from ats_mag.system.arguments import number
from ats_mag.tensors import Attention, KerasConfig, Logits, ValidCells


@keras.saving.register_keras_serializable(PACKAGE)
class JointSoftmax(keras.layers.Layer):
    """One probability distribution over (row, column, magnification) per slide.

    With M = 1 it is attention-sampling's `SampleSoftmax`. Computed in float32 whatever the model's dtype policy.

    Args:
        smooth: share of the mass, in [0, 1), that is spread evenly over the valid entries.

    Call arguments:
        logits: `(B, H, W, M)`.
        mask: `(B, H, W)` or `(B, H, W, M)`, true where a cell may be looked at. None: everywhere.

    Returns:
        `(B, H, W, M)`, sum 1 per slide and exactly 0 outside the mask; all 0 where a slide's mask is empty.

    Raises:
        ValueError: for `smooth` outside [0, 1), or logits that are not of rank 4.
    """

    def __init__(self, smooth: float = 0.0, **kwargs: Any) -> None:
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.smooth = number("smooth", smooth)
        if not 0 <= self.smooth < 1:
            raise ValueError(f"smooth must lie in [0, 1). Received: smooth={smooth!r}")
        # `mask` is an argument like any other here, but Keras warns of it unless told that masking is known.
        self.supports_masking = True

    def build(self, logits_shape: tuple, mask_shape: tuple | None = None) -> None:
        """Nothing; Keras' `summary` passes on the shapes under the names that they have here."""

    def compute_mask(self, inputs: Logits, previous_mask: ValidCells | None) -> None:
        """None: the cells' mask is no mask of the attention for the layers after this one."""

    def call(self, logits: Logits, mask: ValidCells | None = None) -> Attention:
        if len(logits.shape) != 4:
            raise ValueError(f"logits must have the shape (B, H, W, M). Received: shape {tuple(logits.shape)}")
        if mask is None:
            valid = ops.ones_like(logits, dtype="bool")
        else:
            mask = ops.cast(mask, "bool")
            valid = ops.broadcast_to(mask[..., None] if len(mask.shape) == 3 else mask, ops.shape(logits))
        axes = (1, 2, 3)
        low = -1e30  # finite, so that a row without any valid entry has no inf - inf
        # With `initial`, of no slides, too.
        top = ops.max(ops.where(valid, logits, low), axis=axes, keepdims=True, initial=-math.inf)
        top = ops.stop_gradient(top)
        # The inner `where` keeps exp() of masked logits from overflowing, which would make 0 * inf in the gradient.
        unnormalised = ops.where(valid, ops.exp(ops.where(valid, logits - top, 0.0)), 0.0)
        total = ops.sum(unnormalised, axis=axes, keepdims=True)
        attention = unnormalised / ops.where(total > 0, total, 1.0)
        if self.smooth:
            share = ops.cast(valid, attention.dtype)
            share = share / ops.maximum(ops.sum(share, axis=axes, keepdims=True), 1.0)
            attention = (1 - self.smooth) * attention + self.smooth * share
        return attention

    def compute_output_shape(self, logits_shape: tuple, mask_shape: tuple | None = None) -> tuple:
        return logits_shape

    def get_config(self) -> KerasConfig:
        return {**super().get_config(), "smooth": self.smooth}
