"""A vision transformer that holds the weights of all supported families.

It is written here rather than taken from keras-hub, because keras-hub has ViT, DINOv2 and DINOv3 as three models and none for
timm's layouts (registers with positions, packed SwiGLU with a plain position table), which most pathology encoders have. The
families differ in names and in where positions are added, and this is settled when weights are read: what remains is one network
of 150 lines, on any Keras backend, with fused attention.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from ats_mag.sampling.regularizers import PACKAGE
from ats_mag.tensors import KerasConfig, Tensor

ACTIVATIONS = ("gelu", "silu", "relu", "gelu_tanh")


def activate(x: Tensor, name: str) -> Tensor:
    """One of `ACTIVATIONS`; `gelu` is the exact one."""
    if name.startswith("gelu"):
        return ops.gelu(x, approximate=name == "gelu_tanh")
    return getattr(ops, name)(x)


@keras.saving.register_keras_serializable(PACKAGE)
class TokenEmbedding(layers.Layer):
    """Image -> tokens: class token and registers, then one token per square of the image, row by row.

    A position of the class token or of a register is part of that token's own weight.

    Args:
        dimension: D.
        patch_size: side of a square, pixels.
        n_prefix: class token and registers.

    Call arguments:
        x: `(B, P, P, 3)`.

    Returns:
        `(B, n_prefix + (P / patch_size)^2, D)`.
    """

    def __init__(self, dimension: int, patch_size: int, n_prefix: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dimension, self.patch_size, self.n_prefix = dimension, patch_size, n_prefix
        self.project = layers.Dense(dimension, kernel_initializer="zeros", dtype=self.dtype_policy, name="project")

    def build(self, input_shape: tuple) -> None:
        self.side = input_shape[1] // self.patch_size
        self.project.build((None, None, self.patch_size**2 * 3))
        self.prefix = self.add_weight((self.n_prefix, self.dimension), initializer="zeros", name="prefix")
        self.positions = self.add_weight((self.side**2, self.dimension), initializer="zeros", name="positions")

    def call(self, x: Tensor) -> Tensor:
        side, pixels = self.side, self.patch_size
        x = ops.reshape(x, (-1, side, pixels, side, pixels, 3))
        x = ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, side * side, pixels * pixels * 3))
        x = self.project(x) + ops.cast(self.positions, self.compute_dtype)
        prefix = ops.cast(self.prefix, self.compute_dtype)
        return ops.concatenate([ops.broadcast_to(prefix, (ops.shape(x)[0], *self.prefix.shape)), x], axis=1)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (input_shape[0], self.n_prefix + (input_shape[1] // self.patch_size) ** 2, self.dimension)

    def get_config(self) -> KerasConfig:
        own = {"dimension": self.dimension, "patch_size": self.patch_size, "n_prefix": self.n_prefix}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(PACKAGE)
class TransformerBlock(layers.Layer):
    """Attention, then a feed-forward part, each behind a layer norm and added to its input.

    Args:
        dimension: D.
        heads: of the attention.
        hidden: units between the two dense layers of the feed-forward part.
        gated: the first dense layer gives twice `hidden` units, and the activated first half scales the second one (SwiGLU).
        activation: one of `ACTIVATIONS`.
        layer_scale: whether each part is scaled per channel before it is added.
        qkv_bias: whether queries, keys and values have a bias.
        epsilon: of the layer norms.

    Call arguments:
        x: `(B, T, D)`.

    Returns:
        `(B, T, D)`.
    """

    def __init__(
        self,
        dimension: int,
        heads: int,
        hidden: int,
        gated: bool = False,
        activation: str = "gelu",
        layer_scale: bool = False,
        qkv_bias: bool = True,
        epsilon: float = 1e-6,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.settings = {
            "dimension": dimension,
            "heads": heads,
            "hidden": hidden,
            "gated": gated,
            "activation": activation,
            "layer_scale": layer_scale,
            "qkv_bias": qkv_bias,
            "epsilon": epsilon,
        }
        self.dimension, self.heads, self.hidden, self.gated = dimension, heads, hidden, gated
        self.activation, self.layer_scale = activation, layer_scale

        def dense(units: int, name: str, bias: bool = True) -> layers.Dense:
            return layers.Dense(units, use_bias=bias, kernel_initializer="zeros", dtype=self.dtype_policy, name=name)

        self.norm1 = layers.LayerNormalization(epsilon=epsilon, dtype=self.dtype_policy, name="norm1")
        self.qkv = dense(3 * dimension, "qkv", qkv_bias)
        self.project = dense(dimension, "project")
        self.norm2 = layers.LayerNormalization(epsilon=epsilon, dtype=self.dtype_policy, name="norm2")
        self.feed1 = dense(hidden * (2 if gated else 1), "feed1")
        self.feed2 = dense(dimension, "feed2")

    def build(self, input_shape: tuple) -> None:
        wide = (None, None, self.dimension)
        for layer in (self.norm1, self.qkv, self.project, self.norm2, self.feed1):
            layer.build(wide)
        self.feed2.build((None, None, self.hidden))
        if self.layer_scale:
            self.scale1 = self.add_weight((self.dimension,), initializer="ones", name="scale1")
            self.scale2 = self.add_weight((self.dimension,), initializer="ones", name="scale2")

    def call(self, x: Tensor) -> Tensor:
        attended = self._attend(self.norm1(x))
        x = x + (attended * ops.cast(self.scale1, self.compute_dtype) if self.layer_scale else attended)
        fed = self._feed(self.norm2(x))
        return x + (fed * ops.cast(self.scale2, self.compute_dtype) if self.layer_scale else fed)

    def _attend(self, x: Tensor) -> Tensor:
        tokens = x.shape[1]
        qkv = ops.reshape(self.qkv(x), (-1, tokens, 3, self.heads, self.dimension // self.heads))
        x = ops.dot_product_attention(qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2])
        return self.project(ops.reshape(x, (-1, tokens, self.dimension)))

    def _feed(self, x: Tensor) -> Tensor:
        x = self.feed1(x)
        if self.gated:
            x = activate(x[..., : self.hidden], self.activation) * x[..., self.hidden :]
        else:
            x = activate(x, self.activation)
        return self.feed2(x)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape

    def get_config(self) -> KerasConfig:
        return {**super().get_config(), **self.settings}


@keras.saving.register_keras_serializable(PACKAGE)
class VisionTransformer(layers.Layer):
    """Image -> normalised tokens. All weights start at 0: they are to be read from a file.

    Args:
        depth: number of blocks.
        patch_size: side of the square that becomes a token, pixels.
        n_registers: tokens between the class token and those of the image.
        block: arguments of `TransformerBlock`.

    Call arguments:
        x: `(B, P, P, 3)`, standardised.

    Returns:
        `(B, 1 + n_registers + (P / patch_size)^2, D)`.
    """

    def __init__(self, depth: int, patch_size: int, n_registers: int, block: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.depth, self.patch_size, self.n_registers, self.block = depth, patch_size, n_registers, dict(block)
        dtype = self.dtype_policy
        self.embedding = TokenEmbedding(block["dimension"], patch_size, self.n_prefix, dtype=dtype, name="embedding")
        self.blocks = [TransformerBlock(**block, dtype=dtype, name=f"block{i}") for i in range(depth)]
        self.norm = layers.LayerNormalization(epsilon=block["epsilon"], dtype=dtype, name="norm")

    @property
    def n_prefix(self) -> int:
        """Tokens before those of the image: the class token and the registers."""
        return 1 + self.n_registers

    @property
    def stages(self) -> list[list[layers.Layer]]:
        """The parts that can be frozen one by one, from the image on."""
        return [[self.embedding], *[[block] for block in self.blocks]]

    def build(self, input_shape: tuple) -> None:
        self.embedding.build(input_shape)
        shape = self.embedding.compute_output_shape(input_shape)
        for layer in (*self.blocks, self.norm):
            layer.build(shape)

    def call(self, x: Tensor) -> Tensor:
        x = self.embedding(x)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return self.embedding.compute_output_shape(input_shape)

    def get_config(self) -> KerasConfig:
        own = {"depth": self.depth, "patch_size": self.patch_size, "n_registers": self.n_registers, "block": self.block}
        return {**super().get_config(), **own}
