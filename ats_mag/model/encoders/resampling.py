"""Position embeddings for another grid of tokens, as the libraries that the weights come from compute them."""

from __future__ import annotations

import numpy as np


def resample_positions(positions: np.ndarray, side: int, antialias: bool) -> np.ndarray:
    """Interpolates the embeddings of a square grid bicubically.

    The two forms are those of torch's `interpolate(mode="bicubic", align_corners=False)`.

    Args:
        positions: `(g * g, D)`.
        side: of the new grid, in tokens.
        antialias: widen the kernel where the grid shrinks; this form also has another cubic (-0.5 instead of -0.75).

    Returns:
        `(side * side, D)` float32.
    """
    old = round(len(positions) ** 0.5)
    grid = np.asarray(positions, np.float32).reshape(old, old, -1)
    if old == side:
        return grid.reshape(side * side, -1)
    matrix = _matrix(old, side, antialias)
    grid = np.einsum("ia,jb,abd->ijd", matrix, matrix, grid.astype(np.float64), optimize=True)
    return grid.reshape(side * side, -1).astype(np.float32)


def _matrix(old: int, new: int, antialias: bool) -> np.ndarray:
    """`(new, old)`: the weight of each old place in each new one."""
    scale = old / new
    matrix = np.zeros((new, old))
    for i in range(new):
        centre = (i + 0.5) * scale
        if antialias:
            width = max(scale, 1.0)
            first, last = max(int(centre - 2 * width + 0.5), 0), min(int(centre + 2 * width + 0.5), old)
            places = np.arange(first, last)
            weights = _cubic((places + 0.5 - centre) / width, -0.5)
            matrix[i, places] = weights / weights.sum()
        else:
            places = int(np.floor(centre - 0.5)) + np.arange(-1, 3)
            weights = _cubic(places + 0.5 - centre, -0.75)
            np.add.at(matrix[i], places.clip(0, old - 1), weights)  # the border's place stands for those beyond it
    return matrix


def _cubic(x: np.ndarray, a: float) -> np.ndarray:
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((x - 5) * x + 8) * x * a - 4 * a
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))
