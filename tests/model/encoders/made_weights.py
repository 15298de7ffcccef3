"""Weights and patches that two programs make alike from nothing but a name, so that they need no file."""

import zlib

import numpy as np


def made_tensor(name, shape, like="weight"):
    """Random numbers of a moderate size; of `running_var` and of the gain of a norm around 1."""
    random = np.random.RandomState(zlib.crc32(f"{name} {shape}".encode()))
    values = random.standard_normal(shape)
    if name.endswith("running_var"):
        return (1 + 0.2 * np.abs(values)).astype(np.float32)
    if len(shape) == 1 and name.endswith((".weight", "gamma", "lambda1")):
        return (1 + 0.2 * values).astype(np.float32)
    fan = np.prod(shape[1:]) if len(shape) in (2, 4) else 25
    return (values / np.sqrt(fan)).astype(np.float32)


def made_patches(count, size):
    """`(count, size, size, 3)` uint8: smooth colours with some noise."""
    random = np.random.RandomState(size)
    coarse = random.uniform(0, 255, (count, 4, 4, 3))
    fine = np.repeat(np.repeat(coarse, -(-size // 4), axis=1), -(-size // 4), axis=2)[:, :size, :size]
    return np.clip(fine + random.normal(0, 20, fine.shape), 0, 255).astype(np.uint8)


def resnet50_shapes():
    """The tensors of timm's ResNet-50 by name."""
    shapes = {"conv1.weight": (64, 3, 7, 7), **_norm("bn1", 64)}
    width = 64
    for stage, (repeats, units) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512)), 1):
        for repeat in range(repeats):
            name = f"layer{stage}.{repeat}"
            convolutions = (("1", units, width, 1), ("2", units, units, 3), ("3", 4 * units, units, 1))
            for number, n_out, n_in, side in convolutions:
                shapes |= {
                    f"{name}.conv{number}.weight": (n_out, n_in, side, side),
                    **_norm(f"{name}.bn{number}", n_out),
                }
            if not repeat:
                shapes |= {
                    f"{name}.downsample.0.weight": (4 * units, width, 1, 1),
                    **_norm(f"{name}.downsample.1", 4 * units),
                }
            width = 4 * units
    return shapes


def _norm(name, width):
    return {f"{name}.{part}": (width,) for part in ("weight", "bias", "running_mean", "running_var")}
