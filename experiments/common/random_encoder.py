"""A folder with a vision transformer of ViT-L/16's size and random weights, in timm's layout."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np

DIMENSION, DEPTH = 1024, 24
_NAMES = {"float32": "F32", "float16": "F16", "float64": "F64", "int64": "I64", "bfloat16": "BF16"}


def write_safetensors(path: Path, tensors: Mapping[str, np.ndarray]) -> None:
    """Writes a file of NumPy arrays by name, as the library of that name does."""
    header, offset = {}, 0
    for name, tensor in tensors.items():
        end = offset + tensor.nbytes
        header[name] = {"dtype": _NAMES[tensor.dtype.name], "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            file.write(np.ascontiguousarray(tensor).tobytes())


def write_random_vit_large(folder: Path) -> Path:
    """Writes `config.json` and `model.safetensors` (1.2 GB) where they are not yet; returns the path of the weights."""
    file = folder / "model.safetensors"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        config = {"architecture": "vit_large_patch16_224", "pretrained_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3}}
        (folder / "config.json").write_text(json.dumps(config))
        write_safetensors(file, _vit_large())
    return file


def _vit_large() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)

    def made(*shape: int) -> np.ndarray:
        return random.standard_normal(shape, np.float32) * np.float32(0.02)

    d = DIMENSION
    found = {"cls_token": made(1, 1, d), "pos_embed": made(1, 197, d), "norm.weight": made(d), "norm.bias": made(d)}
    found |= {"patch_embed.proj.weight": made(d, 3, 16, 16), "patch_embed.proj.bias": made(d)}
    shapes = {
        "norm1": (d,),
        "attn.qkv": (3 * d, d),
        "attn.proj": (d, d),
        "norm2": (d,),
        "mlp.fc1": (4 * d, d),
        "mlp.fc2": (d, 4 * d),
    }
    for i in range(DEPTH):
        for name, shape in shapes.items():
            found |= {f"blocks.{i}.{name}.weight": made(*shape), f"blocks.{i}.{name}.bias": made(shape[0])}
        found |= {f"blocks.{i}.ls{j}.gamma": made(d) for j in (1, 2)}
    return found
