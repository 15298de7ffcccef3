"""Pictures that stand in for tissue where the real data are not at hand: they show that a script runs, and nothing else."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from data_prep.mixed_scanners.tissue import EOSIN, HAEMATOXYLIN

GLASS = 243


def tissue(seed: int, height: int, width: int, glass: int = 0) -> np.ndarray:
    """Pink ground with dark spots.

    Args:
        seed: of the picture.
        height, width: pixels.
        glass: width of an empty margin, pixels.

    Returns:
        `(height, width, 3)` uint8.
    """
    rng = np.random.default_rng(seed)
    ground, spots = (gaussian_filter(rng.standard_normal((height, width)), sigma) for sigma in (12, 2))
    density = (0.35 + 0.1 * ground / ground.std())[..., None] * EOSIN
    density += (spots > 1.2 * spots.std())[..., None] * 0.8 * HAEMATOXYLIN
    image = np.rint(GLASS * np.exp(-np.maximum(density, 0))).astype(np.uint8)
    if glass:
        inner = np.zeros((height, width), bool)
        inner[glass:-glass, glass:-glass] = True
        image[~inner] = GLASS
    return image
