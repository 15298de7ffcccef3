"""What is salient on a slide: where a prior may begin to look that knows neither labels nor places."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from ats_mag.sampling.regularizers import PACKAGE
from ats_mag.tensors import KerasConfig, Overview, Tensor


@keras.saving.register_keras_serializable(PACKAGE)
class SlideContrast(layers.Layer):
    """Standardises how dark a slide's pixels are to mean 0 and deviation 1 per channel over all that is not white.

    How strongly a slide is stained does not show in it. White, which also fills all padding, becomes 0, which convolutions
    pad with, so that the tissue has no bright rim.

    Call arguments:
        x: overview `(B, h, w, 3)`, 0 to 255.

    Returns:
        `(B, h, w, 3)` float32, above 0 where a pixel is darker than the slide's mean.
    """

    def call(self, x: Overview) -> Tensor:
        ops = keras.ops
        x = ops.cast(x, "float32")
        tissue = ops.cast(ops.min(x, axis=-1, keepdims=True) < 225, "float32")
        count = ops.maximum(ops.sum(tissue, axis=(1, 2), keepdims=True), 1.0)
        centred = tissue * (ops.sum(tissue * x, axis=(1, 2), keepdims=True) / count - x)
        deviation = ops.sqrt(ops.sum(ops.square(centred), axis=(1, 2), keepdims=True) / count)
        return centred / (deviation + 1.0)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape


@keras.saving.register_keras_serializable(PACKAGE)
class Saliency(layers.Layer):
    """How far a cell and its rim lie from the slide's mean darkness, darker or lighter, in deviations of pixels: `(B, H, W, 1)`.

    The channel that differs most decides.

    Args:
        stride: overview pixels per cell.

    Call arguments:
        contrast: `(B, h, w, 3)`, of `SlideContrast`; h and w are multiples of the stride.
    """

    def __init__(self, stride: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stride = stride

    def call(self, contrast: Tensor) -> Tensor:
        ops = keras.ops
        before, after = self.stride // 2, self.stride - self.stride // 2
        # "same" would leave its padding out of the means: the rim of an overview would change with how far it is padded.
        contrast = ops.pad(contrast, ((0, 0), (before, after), (before, after), (0, 0)))
        pooled = ops.abs(ops.average_pool(contrast, 2 * self.stride, self.stride, "valid", data_format="channels_last"))
        return ops.max(pooled, axis=-1, keepdims=True)

    def get_config(self) -> KerasConfig:
        return {**super().get_config(), "stride": self.stride}
