"""The attention network of the experiment on three scales, as its published results were measured; runs now have `attention_network`."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from ats_mag.backend import channels_last
from ats_mag.model.saliency import SlideContrast
from ats_mag.tensors import KerasConfig, Tensor


@keras.saving.register_keras_serializable("crc_tiles")
class StandOut(layers.Layer):
    """How far a cell and its rim lie from the slide's mean darkness, in deviations of pixels: `(B, H, W, 1)`.

    Args:
        stride: overview pixels per cell.
        any_channel: whether the channel that stands out most decides; else their mean.

    Call arguments:
        contrast: `(B, h, w, 3)`, of `SlideContrast`; h and w are multiples of the stride.
    """

    def __init__(self, stride: int, any_channel: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stride, self.any_channel = stride, any_channel

    def call(self, contrast: Tensor) -> Tensor:
        ops = keras.ops
        if not self.any_channel:
            contrast = ops.mean(contrast, axis=-1, keepdims=True)
        pooled = ops.abs(ops.average_pool(contrast, 2 * self.stride, self.stride, "same", "channels_last"))
        return ops.max(pooled, axis=-1, keepdims=True)

    def get_config(self) -> KerasConfig:
        return {**super().get_config(), "stride": self.stride, "any_channel": self.any_channel}


@channels_last()
def stand_out_network(n_magnifications: int, stride: int, stand_out: float, any_channel: bool = False) -> keras.Model:
    """An attention network that starts on what stands out of the slide, darker or lighter.

    The start knows no labels and no places, but it is a prior: where 1.4 % of the patches tell the class, attention that
    started uniform had not left chance after 900 steps. Where places differ by texture alone, it does not help.

    Args:
        n_magnifications: M.
        stride: overview pixels per cell.
        stand_out: logit per deviation that a cell stands out of its slide, at the start; 0: the attention starts uniform.
        any_channel: whether the channel that stands out most decides; else the mean of the three.

    Returns:
        Overview `(B, h, w, 3)` -> logits `(B, h / stride, w / stride, M)`.
    """
    x = inputs = keras.Input((None, None, 3), name="overview")
    contrast = x = SlideContrast()(x)
    for width, step in ((16, 1), (32, stride), (32, 1)):
        x = layers.Conv2D(width, 3, strides=step, padding="same", activation="relu")(x)
    start = keras.initializers.Constant(stand_out)
    learnt = layers.Conv2D(n_magnifications, 1, kernel_initializer="zeros", name="logits")(x)
    first = layers.Conv2D(n_magnifications, 1, kernel_initializer=start, use_bias=False, name="start")(
        StandOut(stride, any_channel)(contrast)
    )
    return keras.Model(inputs, layers.Add()([learnt, first]), name="attention")
