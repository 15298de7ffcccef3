"""Overviews of every kind that a laboratory makes: stain, share of tissue, what lies beside it, and glass."""

from itertools import product
from typing import NamedTuple

import numpy as np
from scipy.ndimage import binary_dilation, gaussian_filter

STAINS = {
    "H&E": (205, 120, 175),
    "pale H&E": (230, 190, 215),
    "haematoxylin": (120, 95, 165),
    "eosin": (225, 110, 150),
    "DAB": (150, 100, 60),
    "pale counterstain": (218, 224, 236),
    "cartilage": (222, 208, 230),
}
INKS = {"blue pen": (40, 60, 190), "green pen": (30, 140, 60), "red pen": (210, 30, 40), "black pen": (35, 35, 38)}
BESIDE = {"nothing": None, **INKS, "blood": (195, 35, 55), "brown": (140, 90, 50), "dark border": (20, 18, 17)}
GLASSES = {
    "grey": (243, 243, 243),
    "white": (255, 255, 255),
    "yellow": (243, 236, 214),
    "bluish": (228, 236, 243),
    "greenish": (228, 240, 226),
    "dim": (212, 212, 214),
}
SHARES = (0.05, 0.15, 0.4)
SIDE = 160


class Made(NamedTuple):
    """An overview, where its tissue and what lies beside it are, and the glass two pixels and more from both."""

    image: np.ndarray
    tissue: np.ndarray
    beside: np.ndarray
    glass: np.ndarray


def kinds():
    """Every stain with everything beside it on every glass, in different shares of tissue."""
    return [(*kind, SHARES[i % len(SHARES)]) for i, kind in enumerate(product(STAINS, BESIDE, GLASSES))]


def made(stain, beside, glass, share, noise=3.0, texture=6.0, seed=0):
    """One overview; `stain` None: glass alone, `share` 1: no glass."""
    rng = np.random.default_rng(seed)
    white = np.array(GLASSES[glass], float)
    image = np.tile(white, (SIDE, SIDE, 1))
    tissue = np.zeros((SIDE, SIDE), bool)
    if stain is not None:
        field = gaussian_filter(rng.normal(size=(SIDE, SIDE)), 12)
        if share < 1:
            field[:, -24:] = field.min()  # where something else may lie
        tissue = field >= np.quantile(field, 1 - share)
        structure = gaussian_filter(rng.normal(size=(SIDE, SIDE)), 1.2)
        structure *= texture / structure.std()
        image[tissue] = (np.array(STAINS[stain]) * white / 243 + structure[..., None])[tissue]
    strip = np.zeros((SIDE, SIDE), bool)
    if BESIDE[beside] is not None:
        strip[8:-8, -14:-6] = True  # 4.5 % of the overview
        image[strip] = BESIDE[beside]
        tissue &= ~strip
    image = gaussian_filter(image, (0.5, 0.5, 0)) + rng.normal(0, noise, image.shape)
    return Made(image.clip(0, 255).astype(np.uint8), tissue, strip, ~binary_dilation(tissue | strip, iterations=2))


def fluorescence(ground, light, share, seed=0):
    """A dark overview with what shines."""
    rng = np.random.default_rng(seed)
    field = gaussian_filter(rng.normal(size=(SIDE, SIDE)), 10)
    shines = field >= np.quantile(field, 1 - share)
    image = np.where(shines[..., None], light, ground) + rng.normal(0, 3, (SIDE, SIDE, 3))
    return Made(
        image.clip(0, 255).astype(np.uint8), shines, np.zeros_like(shines), ~binary_dilation(shines, iterations=2)
    )
