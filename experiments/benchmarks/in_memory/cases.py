"""What is read: cases of attention-sampling 0.2 itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Case:
    """`(B, *space, C)` float32 images and `n` patches of `size` from each."""

    name: str
    shape: tuple[int, ...]
    size: tuple[int, ...]
    n: int
    calls: int  # per turn

    def write(self, folder: Path) -> tuple[str, str]:
        """Paths of the images and of the patches' origins."""
        rng = np.random.default_rng(0)
        image, origin = folder / "image.npy", folder / "origin.npy"
        np.save(image, rng.random(self.shape, dtype=np.float32))
        np.save(origin, origins(rng, self.shape, self.size, self.n))
        return str(image), str(origin)


# Of its tests, and of the defaults of its scripts mnist.py and speed_limits.py.
CASES = [
    Case("its test", (10, 100, 100, 3), (10, 10), 10, 50),
    Case("its profile", (10, 1024, 1024, 3), (128, 128), 32, 1),
    Case("Megapixel MNIST, batch 16", (16, 1500, 1500, 1), (50, 50), 10, 10),
    Case("Megapixel MNIST, batch 128", (128, 1500, 1500, 1), (50, 50), 10, 2),
    Case("speed limits, batch 32", (32, 960, 1280, 3), (100, 100), 5, 2),
]


def origins(rng: np.random.Generator, shape: Sequence[int], size: Sequence[int], n_patches: int) -> np.ndarray:
    """`(B, N, n)` int32: patches centred anywhere in the image, some of which reach over its edge."""
    centre = rng.random((shape[0], n_patches, len(size))) * np.array(shape[1:-1])
    return np.rint(centre - np.array(size) / 2).astype(np.int32)
