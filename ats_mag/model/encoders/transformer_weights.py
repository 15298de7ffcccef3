"""From a folder's tensors to a vision transformer that holds them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ats_mag.model.encoders.resampling import resample_positions
from ats_mag.model.encoders.stored_tensor import StoredTensor, WeightsError
from ats_mag.model.encoders.transformer_families import Family, Settings
from ats_mag.model.encoders.vision_transformer import VisionTransformer
from ats_mag.model.encoders.weight_plan import WeightPlan


def load_transformer(
    source: Path, tensors: Mapping[str, StoredTensor], settings: Settings, patch_size: int, dtype: str | None = None
) -> VisionTransformer:
    """Builds the network that the tensors' shapes tell, and reads them into it.

    Args:
        source: the folder, for messages.
        tensors: of the folder.
        settings: what its configuration says.
        patch_size: P.
        dtype: policy of the layers. None: Keras' own.

    Returns:
        `(B, P, P, 3)`, standardised -> tokens.

    Raises:
        WeightsError: tensors are missing, unknown or of another shape.
        ValueError: the network cannot take P.
    """
    family = settings.family
    tensors = _without_prefix(tensors, family)
    network, square = _network(source, tensors, settings, dtype)
    if patch_size % square or patch_size < square:
        near = max(round(patch_size / square), 1) * square
        raise ValueError(
            f"patch_size must be a multiple of {square}, the side of the squares that the encoder {source} makes of an image, "
            f"such as {near}. Received: patch_size={patch_size}"
        )
    side = patch_size // square
    rows = tensors[family.positions].shape[1]
    prefixed = _rows_of_prefix(source, rows, network.n_registers, settings, square)
    network.build((None, patch_size, patch_size, 3))
    plan = WeightPlan(source, tensors, family.ignored)
    _plan_embedding(plan, network, family, prefixed, side)
    _plan_blocks(plan, network, family)
    plan.norm(network.norm, family.norm)
    plan.carry_out()
    return network


def _without_prefix(tensors: Mapping[str, StoredTensor], family: Family) -> Mapping[str, StoredTensor]:
    for prefix in family.prefixes:
        if prefix and f"{prefix}{family.cls}" in tensors:
            # What does not begin with it belongs to a classifier around the encoder.
            inner = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
            outer = {
                n: t for n, t in tensors.items() if not n.startswith(prefix) and not re.fullmatch(family.ignored, n)
            }
            return {**outer, **inner}
    return tensors


def _network(
    source: Path, tensors: Mapping[str, StoredTensor], settings: Settings, dtype: str | None
) -> tuple[VisionTransformer, int]:
    family = settings.family
    blocks = {
        int(m[1]) for name in tensors if (m := re.match(re.escape(family.block).replace(r"\{\}", r"(\d+)"), name))
    }
    start = family.block.format(0)
    feed1, feed2, gated = next(
        (feed for feed in family.feeds if f"{start}{feed[0]}.weight" in tensors), family.feeds[-1]
    )
    ranks = {
        family.cls: 3,
        family.positions: 3,
        f"{family.patches}.weight": 4,
        f"{start}{feed1}.weight": 2,
        f"{start}{feed2}.weight": 2,
    }
    if family.registers in tensors:
        ranks[family.registers] = 3
    missing = [name for name in ranks if name not in tensors]
    if missing:
        raise WeightsError(
            f"{source} misses {', '.join(missing)}: its weights are not of the network that its config.json describes. Take both "
            "files from the same release of the model"
        )
    odd = [f"{name} of shape {tensors[name].shape}" for name, rank in ranks.items() if len(tensors[name].shape) != rank]
    dimension, channels, height, width = tensors[f"{family.patches}.weight"].shape if not odd else (0, 3, 1, 1)
    if not odd and settings.dimension not in (None, dimension):
        raise WeightsError(
            f"{source / 'config.json'} names an architecture of dimension {settings.dimension}, and the weights have dimension "
            f'{dimension}: their number of attention heads is not known. Add "num_heads" to its "model_args"'
        )
    if odd or channels != 3 or height != width or dimension % settings.heads or not dimension:
        raise WeightsError(
            f"{source} does not fit a vision transformer for square patches of 3 channels with {settings.heads} heads: it holds "
            f"{', '.join(odd) or f'{family.patches}.weight of shape {(dimension, channels, height, width)}'}. Take its "
            "config.json and its weights from the same release of the model"
        )
    first, hidden = tensors[f"{start}{feed1}.weight"].shape[0], tensors[f"{start}{feed2}.weight"].shape[1]
    gated = first == 2 * hidden if gated is None else gated
    return VisionTransformer(
        depth=max(blocks) + 1,
        patch_size=height,
        n_registers=tensors[family.registers].shape[1] if family.registers in tensors else 0,
        block={
            "dimension": dimension,
            "heads": settings.heads,
            "hidden": hidden,
            "gated": gated,
            "activation": settings.gated_activation if gated else settings.activation,
            "layer_scale": f"{start}{family.scale1}" in tensors,
            "qkv_bias": f"{start}{family.qkv[0]}.bias" in tensors,
            "epsilon": settings.epsilon,
        },
        dtype=dtype,
        name="transformer",
    ), height


def _rows_of_prefix(source: Path, rows: int, n_registers: int, settings: Settings, square: int) -> int:
    """How many rows of the table of positions are not the image's: none, the class token's, or the registers' as well."""
    choices = (
        [0, 1 + n_registers] if settings.no_embed_class is None else [0 if settings.no_embed_class else 1 + n_registers]
    )
    if settings.family.registers.startswith("embeddings."):
        choices = [1]
    fitting = [n for n in choices if rows > n and round((rows - n) ** 0.5) ** 2 == rows - n]
    if settings.image_size is not None:
        grid = (settings.image_size // square) ** 2
        fitting = [n for n in fitting if rows - n == grid] or fitting
    if not fitting:
        raise WeightsError(
            f"{source}: its {rows} positions are not those of a square image, which is what is supported"
        )
    return fitting[-1]


def _plan_embedding(plan: WeightPlan, network: VisionTransformer, family: Family, prefixed: int, side: int) -> None:
    embedding, square = network.embedding, network.patch_size
    dimension = embedding.dimension
    plan.add(
        embedding.project.kernel,
        f"{family.patches}.weight",
        (dimension, 3, square, square),
        lambda x: np.transpose(x, (2, 3, 1, 0)).reshape(-1, dimension),
    )
    plan.add(embedding.project.bias, f"{family.patches}.bias")
    positions = plan.tensors[family.positions]

    def prefix(*tokens: np.ndarray) -> np.ndarray:
        value = np.concatenate([token[0] for token in tokens], dtype=np.float32)
        value[:prefixed] += positions.read()[0, :prefixed]
        return value

    tokens = (family.cls, family.registers) if network.n_registers else (family.cls,)
    shapes = [(1, 1, dimension), (1, network.n_registers, dimension)]
    plan.add_joined(embedding.prefix, tokens, shapes[: len(tokens)], prefix)
    plan.add(
        embedding.positions,
        family.positions,
        (1, positions.shape[1], dimension),
        lambda x: resample_positions(x[0, prefixed:], side, family.antialias),
    )


def _plan_blocks(plan: WeightPlan, network: VisionTransformer, family: Family) -> None:
    for number, block in enumerate(network.blocks):
        start = family.block.format(number)
        feed1, feed2, _ = next(
            (feed for feed in family.feeds if f"{start}{feed[0]}.weight" in plan.tensors), family.feeds[-1]
        )
        plan.norm(block.norm1, f"{start}{family.norm1}")
        plan.dense(block.qkv, *[f"{start}{name}" for name in family.qkv])
        plan.dense(block.project, f"{start}{family.project}")
        plan.norm(block.norm2, f"{start}{family.norm2}")
        plan.dense(block.feed1, f"{start}{feed1}")
        plan.dense(block.feed2, f"{start}{feed2}")
        if block.layer_scale:
            plan.add(block.scale1, f"{start}{family.scale1}")
            plan.add(block.scale2, f"{start}{family.scale2}")
