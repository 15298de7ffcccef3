"""Colon tiles of two kinds, AC (adenocarcinoma) and H (healthy), that slides are composed of, and the shape of their tissue."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

MPP = 0.5  # um/px
TILE = 224  # pixels
SPLITS = {"train": "training", "test": "test"}  # of the slides -> folder of the tiles
GLASS = 243
INK = 8.0  # keeps the optical density of black finite


@functools.lru_cache
def tile_files(tiles: Path, split: str, kind: str) -> tuple[str, ...]:
    """The tiles of a kind (AC or H), as paths relative to `tiles`, sorted."""
    folder = tiles / SPLITS[split] / kind
    found = sorted(f"{SPLITS[split]}/{kind}/{file.name}" for file in folder.glob("*.*"))
    if not found:
        raise ValueError(f"{str(folder)!r} holds no tiles")
    return tuple(found)


def ragged_tissue(sides: tuple[int, int], raggedness: int, rng: np.random.Generator) -> np.ndarray:
    """A piece of tissue with ragged sides and glass all round, `(R + 2, C + 2)` bool.

    Args:
        sides: the least and the greatest of R and of C.
        raggedness: a row may lack one part in so many of its cells at either end.
        rng: draws the shape.
    """
    rows, columns = (int(v) for v in rng.integers(sides[0], sides[1] + 1, size=2))
    tissue = np.zeros((rows + 2, columns + 2), dtype=bool)
    for row in range(1, rows + 1):
        left, right = rng.integers(0, columns // raggedness + 1, size=2)
        tissue[row, 1 + left : 1 + columns - right] = True
    return tissue
