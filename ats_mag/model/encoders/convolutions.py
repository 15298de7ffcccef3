"""The two convolutional networks whose weights can be read from torch's files: EfficientNet-Lite0 and ResNet-50.

Batch normalisation always uses the stored statistics, also where the network is trained: features of a patch then do not depend
on what else is in the batch. A layer's name begins with its stage, so that stages can be frozen one by one.
"""

from __future__ import annotations

import itertools

import keras
from keras import layers

from ats_mag.backend import channels_last
from ats_mag.sampling.regularizers import PACKAGE
from ats_mag.tensors import Tensor

# EfficientNet-Lite0's blocks: repeats, kernel, stride of the first, expansion, channels.
_LITE0 = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_KERNEL = {"use_bias": False, "kernel_initializer": "zeros"}  # kernels are read from a file
_RESNET50 = ((3, 64), (4, 128), (6, 256), (3, 512))


@keras.saving.register_keras_serializable(PACKAGE)
class StoredNormalization(layers.BatchNormalization):
    """Batch normalisation with the stored statistics, whether or not it is in training; its scale and offset can be trained."""

    def call(self, inputs: Tensor, training: bool | None = None, mask: Tensor | None = None) -> Tensor:
        return super().call(inputs, training=False, mask=mask)


def _normalize(x: Tensor, name: str, epsilon: float, dtype: str | None) -> Tensor:
    return StoredNormalization(epsilon=epsilon, dtype=dtype, name=name)(x)


def _features(x: Tensor) -> Tensor:
    return layers.GlobalAveragePooling2D(dtype="float32", name="mean")(x)


@channels_last()
def efficientnet_lite0(patch_size: int, dtype: str | None = None) -> keras.Model:
    """EfficientNet-Lite0 without its classifier: ReLU6, no squeeze-and-excitation, zero padding as TensorFlow's "same".

    Args:
        patch_size: P, a multiple of 32.
        dtype: policy of the layers. None: Keras' own.

    Returns:
        A model `(B, P, P, 3)`, standardised -> `(B, 1280)`.
    """

    def conv(x: Tensor, units: int, kernel: int, stride: int, name: str, active: bool = True) -> Tensor:
        x = layers.Conv2D(units, kernel, stride, "same", **_KERNEL, dtype=dtype, name=f"{name}_conv")(x)
        x = _normalize(x, f"{name}_norm", 1e-3, dtype)
        return layers.ReLU(6.0, dtype=dtype, name=f"{name}_relu")(x) if active else x

    def block(x: Tensor, kernel: int, stride: int, expansion: int, units: int, name: str) -> Tensor:
        start = x
        if expansion != 1:
            x = conv(x, x.shape[-1] * expansion, 1, 1, f"{name}_expand")
        x = layers.DepthwiseConv2D(
            kernel,
            stride,
            "same",
            use_bias=False,
            depthwise_initializer="zeros",
            dtype=dtype,
            name=f"{name}_depth_conv",
        )(x)
        x = _normalize(x, f"{name}_depth_norm", 1e-3, dtype)
        x = layers.ReLU(6.0, dtype=dtype, name=f"{name}_depth_relu")(x)
        x = conv(x, units, 1, 1, f"{name}_project", active=False)
        return layers.Add(dtype=dtype, name=f"{name}_add")([start, x]) if x.shape == start.shape else x

    inputs = keras.Input((patch_size, patch_size, 3), name="standardised")
    x = conv(inputs, 32, 3, 2, "stem")
    numbers = itertools.count()
    for repeats, kernel, stride, expansion, units in _LITE0:
        for repeat in range(repeats):
            x = block(x, kernel, 1 if repeat else stride, expansion, units, f"block{next(numbers)}")
    x = conv(x, 1280, 1, 1, "head")
    return keras.Model(inputs, _features(x), name="efficientnet_lite0")


@channels_last()
def resnet50(patch_size: int, dtype: str | None = None) -> keras.Model:
    """ResNet-50 without its classifier, with the stride on the 3 x 3 convolution and symmetric padding as in torch.

    Args:
        patch_size: P, at least 32.
        dtype: policy of the layers. None: Keras' own.

    Returns:
        A model `(B, P, P, 3)`, standardised -> `(B, 2048)`.
    """

    def conv(x: Tensor, units: int, kernel: int, stride: int, name: str, active: bool = True) -> Tensor:
        if kernel > 1:
            x = layers.ZeroPadding2D(kernel // 2, dtype=dtype, name=f"{name}_pad")(x)
        x = layers.Conv2D(units, kernel, stride, **_KERNEL, dtype=dtype, name=f"{name}_conv")(x)
        x = _normalize(x, f"{name}_norm", 1e-5, dtype)
        return layers.ReLU(dtype=dtype, name=f"{name}_relu")(x) if active else x

    def block(x: Tensor, units: int, stride: int, name: str) -> Tensor:
        short = x
        if stride != 1 or x.shape[-1] != 4 * units:
            short = conv(x, 4 * units, 1, stride, f"{name}_short", active=False)
        x = conv(x, units, 1, 1, f"{name}_first")
        x = conv(x, units, 3, stride, f"{name}_second")
        x = conv(x, 4 * units, 1, 1, f"{name}_third", active=False)
        x = layers.Add(dtype=dtype, name=f"{name}_add")([short, x])
        return layers.ReLU(dtype=dtype, name=f"{name}_relu")(x)

    inputs = keras.Input((patch_size, patch_size, 3), name="standardised")
    x = conv(inputs, 64, 7, 2, "stem")
    x = layers.ZeroPadding2D(1, dtype=dtype, name="stem_pool_pad")(x)  # after ReLU 0 is as good as minus infinity
    x = layers.MaxPooling2D(3, 2, dtype=dtype, name="stem_pool")(x)
    for stage, (repeats, units) in enumerate(_RESNET50):
        for repeat in range(repeats):
            x = block(x, units, 2 if stage and not repeat else 1, f"block{stage}-{repeat}")
    return keras.Model(inputs, _features(x), name="resnet50")


def stages(network: keras.Model) -> list[list[keras.layers.Layer]]:
    """The layers with weights, stage by stage from the image on."""
    named = [layer for layer in network.layers if layer.weights]
    return [list(group) for _, group in itertools.groupby(named, lambda layer: layer.name.partition("_")[0])]
