"""What the libraries call the tensors of a vision transformer, and what of their configurations matters here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

_ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "silu": "silu",
    "swish": "silu",
    "relu": "relu",
    "gelu_tanh": "gelu_tanh",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
}
# timm's sizes: attention heads, and the dimension that goes with them.
_SIZES = {
    "tiny": (3, 192),
    "small": (6, 384),
    "base": (12, 768),
    "large": (16, 1024),
    "huge": (16, 1280),
    "giant": (16, 1408),
    "giant dinov2": (24, 1536),
    "gigantic": (16, 1664),
}
_TIMM_NAME = re.compile(r"vit_([a-z]+)_patch\d+(?:_reg\d+)?_(?:\d+|(dinov2))")
_ATTENTION = "attention.attention."


@dataclass(frozen=True)
class Family:
    """One layout of names.

    Attributes:
        prefixes: that may precede every name.
        cls, registers, positions, patches: of the embedding.
        block: beginning of the names of a block, with its number to fill in.
        norm1, qkv, project, scale1, norm2, scale2: in a block; `qkv` one tensor or three.
        feeds: pairs of names of the feed-forward part, each with whether it is gated; None: where the second layer takes half
            of what the first one gives.
        norm: behind the last block.
        ignored: pattern of tensors that have no part in the features.
        antialias: how positions are interpolated, see `resampling.resample_positions`.
        registers_have_positions: where the table of positions has rows for them.
    """

    prefixes: tuple[str, ...]
    cls: str
    registers: str
    positions: str
    patches: str
    block: str
    norm1: str
    qkv: tuple[str, ...]
    project: str
    scale1: str
    norm2: str
    feeds: tuple[tuple[str, str, bool | None], ...]
    scale2: str
    norm: str
    ignored: str
    antialias: bool


TIMM = Family(
    prefixes=("",),
    cls="cls_token",
    registers="reg_token",
    positions="pos_embed",
    patches="patch_embed.proj",
    block="blocks.{}.",
    norm1="norm1",
    qkv=("attn.qkv",),
    project="attn.proj",
    scale1="ls1.gamma",
    norm2="norm2",
    feeds=(("mlp.fc1", "mlp.fc2", None),),
    scale2="ls2.gamma",
    norm="norm",
    ignored=r"head\..*",
    antialias=True,
)


def _transformers(prefix: str, antialias: bool, **names: Any) -> Family:
    common = {
        "prefixes": ("", prefix),
        "cls": "embeddings.cls_token",
        "registers": "embeddings.register_tokens",
        "positions": "embeddings.position_embeddings",
        "patches": "embeddings.patch_embeddings.projection",
        "block": "encoder.layer.{}.",
        "qkv": (f"{_ATTENTION}query", f"{_ATTENTION}key", f"{_ATTENTION}value"),
        "project": "attention.output.dense",
        "norm1": "norm1",
        "norm2": "norm2",
        "scale1": "layer_scale1.lambda1",
        "scale2": "layer_scale2.lambda1",
        "feeds": (("mlp.weights_in", "mlp.weights_out", True), ("mlp.fc1", "mlp.fc2", False)),
        "norm": "layernorm",
        "ignored": r"(pooler|classifier)\..*|embeddings\.mask_token",
    }
    return Family(**{**common, "antialias": antialias, **names})


VIT = _transformers(
    "vit.",
    antialias=False,
    norm1="layernorm_before",
    norm2="layernorm_after",
    feeds=(("intermediate.dense", "output.dense", False),),
)
TRANSFORMERS = {
    "vit": VIT,
    "dinov2": _transformers("dinov2.", antialias=False),
    "dinov2_with_registers": _transformers("dinov2_with_registers.", antialias=True),
}


@dataclass(frozen=True)
class Settings:
    """What the shapes of the tensors do not tell.

    Attributes:
        family: the names.
        heads: of the attention.
        epsilon: of the layer norms.
        activation: of a plain feed-forward part.
        gated_activation: of a gated one.
        image_size: that the positions are made for, pixels; None: not stated.
        no_embed_class: whether only the image's tokens have positions; None: not stated.
        dimension: for which the number of heads was concluded from a name; None: it is stated.
    """

    family: Family
    heads: int
    epsilon: float
    activation: str
    gated_activation: str
    image_size: int | None = None
    no_embed_class: bool | None = None
    dimension: int | None = None


def settings_of(config: dict[str, Any], model_args: dict[str, Any], model_type: str = "") -> Settings | None:
    """Reads a configuration.

    Args:
        config: content of `config.json`.
        model_args: what timm must be told besides, for models whose `config.json` leaves it out.
        model_type: of transformers' families, where `config.json` names one that is not known.

    Returns:
        The settings, or None of another architecture.

    Raises:
        ValueError: of a vision transformer whose configuration lacks something, or asks for what is not supported; the text
            ends a sentence that begins with the file's name.
    """
    family = TRANSFORMERS.get(config.get("model_type", "")) or TRANSFORMERS.get(model_type)
    if family is not None:
        activation = _activation(config.get("hidden_act", "gelu"))
        epsilon = config.get("layer_norm_eps", 1e-12 if family is VIT else 1e-6)
        heads, size = config.get("num_attention_heads"), config.get("image_size")
        return Settings(family, _heads(heads, "num_attention_heads"), epsilon, activation, "silu", _side(size))
    architecture = config.get("architecture", "")
    if not str(architecture).startswith("vit_"):
        return None
    arguments = {**model_args, **(config.get("model_args") or {})}
    size = arguments.get("img_size") or ((config.get("pretrained_cfg") or {}).get("input_size") or [None])[-1]
    stated, heads, dimension = arguments.get("act_layer"), arguments.get("num_heads"), None
    if heads is None:
        heads, dimension = _timm_size(str(architecture))
    return Settings(
        TIMM,
        _heads(heads, "num_heads"),
        1e-6,
        _activation(stated or "gelu"),
        _activation(stated or "silu"),
        _side(size),
        arguments.get("no_embed_class"),
        dimension,
    )


def _heads(value: Any, key: str) -> int:
    if type(value) is not int or value < 1:
        raise ValueError(f"states {key}: {value!r}, and the number of attention heads was expected")
    return value


def _timm_size(architecture: str) -> tuple[int, int]:
    """Heads and dimension of an architecture that timm defines."""
    match = _TIMM_NAME.fullmatch(architecture)
    size = _SIZES.get(match[1] + (" dinov2" if match[1] == "giant" and match[2] else "")) if match else None
    if size is None:
        raise ValueError(
            f"has the architecture {architecture!r}, whose number of attention heads is not known here: add "
            '"num_heads" to its "model_args"'
        )
    return size


def _activation(name: Any) -> str:
    key = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", str(name)).lower()
    if key not in _ACTIVATIONS:
        raise ValueError(f"asks for the activation {name!r}; {', '.join(sorted(_ACTIVATIONS))} are supported")
    return _ACTIVATIONS[key]


def _side(size: Any) -> int | None:
    """Of a square image, stated as a number or as height and width."""
    sides = set(size) if isinstance(size, list) and size else {size}
    side = sides.pop()
    return side if not sides and type(side) is int and side > 0 else None
