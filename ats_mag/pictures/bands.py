"""The attention of one magnification as a few areas instead of thousands of cells."""

from __future__ import annotations

import numpy as np

SHARES = (0.25, 0.5, 0.75, 0.9)  # the last band is what is left


def attention_bands(attention: np.ndarray, shares: tuple[float, ...] = SHARES) -> np.ndarray:
    """Sorts cells into bands: the smallest area that holds the first share of the attention, what the next adds to it...

    Those areas are the highest-density regions of the distribution (Hyndman, "Computing and Graphing Highest Density
    Regions", The American Statistician 50, 1996).

    Args:
        attention: `(H, W)`, not negative.
        shares: of its sum, rising, below 1; what they leave is one band more.

    Returns:
        `(H, W)` integers: the number of the band, 0 the densest; -1 where there is no attention.
    """
    flat = attention.ravel().astype(float)
    order = np.argsort(-flat, kind="stable")
    held = np.cumsum(flat[order])
    before = np.concatenate([[0.0], held[:-1]])  # what denser cells hold
    found = np.full(flat.size, -1)
    found[order] = np.searchsorted(np.asarray(shares) * held[-1] * (1 - 1e-12), before, side="right")
    return np.where(flat > 0, found, -1).reshape(attention.shape)


def band_name(band: int, shares: tuple[float, ...] = SHARES) -> str:
    """`top 25 %`, `25-50 %`..."""
    percent = [f"{100 * share:g}" for share in (*shares, 1)]
    return f"top {percent[0]} %" if band == 0 else f"{percent[band - 1]}-{percent[band]} %"
