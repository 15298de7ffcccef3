"""The built-in attention and feature networks: small, and without batch statistics.

They normalise per sample, so that reading a slide's patches in chunks, or batching it with other slides, changes nothing.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from ats_mag.backend import channels_last
from ats_mag.model.saliency import Saliency, SlideContrast
from ats_mag.sampling.regularizers import PACKAGE
from ats_mag.system.arguments import positive
from ats_mag.tensors import KerasConfig, Tensor


@keras.saving.register_keras_serializable(PACKAGE)
class Darkness(layers.Layer):
    """Maps pixel values 0..255 to 1..0: white, which also fills all padding, becomes 0 as convolutions pad with."""

    def call(self, x: Tensor) -> Tensor:
        return 1.0 - keras.ops.cast(x, self.compute_dtype) / 255.0

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape


@channels_last()
def attention_network(
    n_magnifications: int, stride: int = 8, filters: Sequence[int] = (16, 32, 32), saliency: float = 0.0
) -> keras.Model:
    """A fully convolutional network, overview -> logits.

    It has no biases before the last layer and normalises each pixel's channels without an offset, so that white stays
    exactly 0 through all layers and the logits of a slide do not depend on how far its overview is padded. The last
    layer starts at 0: the attention starts uniform, or, with `saliency`, on what is salient on its slide. That is a prior,
    which knows no labels; it helps where what tells the class differs from the rest in colour or darkness, either way.

    Args:
        n_magnifications: M, the channels of the logits.
        stride: overview pixels per cell side; a power of 2.
        filters: of the convolutions; the first ones carry the stride, 2 each.
        saliency: logit at the start per deviation of a cell from its slide's mean, see `Saliency`. Above 0 the network sees
            the slide's contrast, without how strongly it is stained.

    Returns:
        A model `(B, h, w, 3)` in 0..255 -> `(B, h / stride, w / stride, M)`.

    Raises:
        ValueError: for a stride that is no power of 2.
    """
    stride = operator.index(stride)
    halvings = stride.bit_length() - 1
    if stride < 1 or stride != 2**halvings:
        raise ValueError(f"stride must be a power of 2. Received: stride={stride!r}")
    filters = (*filters, *[filters[-1]] * max(halvings - len(filters), 0))
    x = inputs = keras.Input((None, None, 3), name="overview")
    x = contrast = SlideContrast()(x) if saliency else Darkness()(x)
    for i, width in enumerate(filters):
        x = layers.Conv2D(width, 3, strides=2 if i < halvings else 1, padding="same", use_bias=False)(x)
        x = layers.LayerNormalization(center=False, epsilon=1e-2)(x)
        x = layers.ReLU()(x)
    logits = layers.Conv2D(n_magnifications, 1, kernel_initializer="zeros", dtype="float32", name="logits")(x)
    if saliency:
        start = {"kernel_initializer": keras.initializers.Constant(saliency), "use_bias": False, "dtype": "float32"}
        prior = layers.Conv2D(n_magnifications, 1, name="prior", **start)(Saliency(stride, dtype="float32")(contrast))
        logits = layers.Add(dtype="float32")([logits, prior])
    return keras.Model(inputs, logits, name="attention_network")


@channels_last()
def feature_network(patch_size: int, dimension: int = 64, filters: Sequence[int] = (16, 32, 64, 64)) -> keras.Model:
    """A small convolutional network, patch -> feature vector.

    The features are layer-normalised: of zero mean and equal length from the first step on. Measured on made slides, this
    and the maximum over the patch let cues be learnt from slide labels several times sooner than rectified means.

    Args:
        patch_size: P.
        dimension: D.
        filters: of the convolutions, of stride 2 while the map is larger than 4 x 4.

    Returns:
        A model `(B, P, P, 3)` in 0..255 -> `(B, D)`.
    """
    patch_size, dimension = positive("patch_size", patch_size), positive("dimension", dimension)
    x = inputs = keras.Input((patch_size, patch_size, 3), name="patch")
    x = layers.Rescaling(1 / 127.5, offset=-1)(x)
    side = patch_size
    for width in filters:
        stride = 2 if side > 4 else 1
        side = -(-side // stride)
        x = layers.Conv2D(width, 3, strides=stride, padding="same", use_bias=False)(x)
        x = layers.GroupNormalization(groups=8)(x)
        x = layers.ReLU()(x)
    x = layers.GlobalMaxPooling2D()(x)
    x = layers.Dense(dimension, name="feature")(x)
    x = layers.LayerNormalization(dtype="float32")(x)
    return keras.Model(inputs, x, name="feature_network")


@keras.saving.register_keras_serializable(PACKAGE)
class ApplicationPreprocessing(layers.Layer):
    """The preprocessing that a family of `keras.applications` expects of pixel values 0..255.

    Args:
        module: e.g. `resnet`.
    """

    def __init__(self, module: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.module = module

    def call(self, x: Tensor) -> Tensor:
        return getattr(keras.applications, self.module).preprocess_input(x, data_format="channels_last")

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape

    def get_config(self) -> KerasConfig:
        return {**super().get_config(), "module": self.module}


@channels_last()
def application_network(name: str, patch_size: int, weights: str | None = None) -> keras.Model:
    """A network of `keras.applications` as a feature network, with its own preprocessing inside.

    Args:
        name: e.g. `ResNet50`, `EfficientNetV2B0`.
        patch_size: P.
        weights: None (random), `imagenet` (downloaded by Keras), or a file of weights without the top.

    Returns:
        A model `(B, P, P, 3)` in 0..255 -> `(B, D)`.

    Raises:
        ValueError: for an unknown name.
    """
    build = getattr(keras.applications, name, None)
    if not callable(build):
        known = ", ".join(n for n in dir(keras.applications) if n[0].isupper())
        raise ValueError(f"keras.applications has no network {name!r}; it has {known}")
    families = [n for n in dir(keras.applications) if n[0].islower() and hasattr(getattr(keras.applications, n), name)]
    inputs = keras.Input((patch_size, patch_size, 3), name="patch")
    x = ApplicationPreprocessing(families[0])(inputs)
    network = build(include_top=False, weights=weights, pooling="avg", input_shape=(patch_size, patch_size, 3))
    return keras.Model(inputs, network(x), name=f"{name}_features")
