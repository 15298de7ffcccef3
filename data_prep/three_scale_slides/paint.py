"""The slide at each magnification, painted for itself."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from data_prep.colon_tiles import GLASS, INK, MPP, TILE, tile_files
from data_prep.three_scale_slides.layout import MAGNIFICATIONS, Cohort, Plan, pixels_of

STAMP = 32  # pixels, at its magnification
CELL = 128  # level-0 pixels: a stamp of the middle band
VALIDATION_SHARE = 0.15  # of the training tiles
REDUCTION = TILE // STAMP
_HIGH_PASS = 4  # pixels of a stamp


def paint(
    tiles: Path, split: str, label: str, slide: Plan, cohort: Cohort, rng: np.random.Generator
) -> list[np.ndarray]:
    """The slide at each of `MAGNIFICATIONS`, `(h, w, 3)` uint8."""
    stain = np.empty((*slide.tissue.shape, 3), np.float32)
    stain[:] = np.array(cohort.mean_density) * np.exp(rng.normal(0, cohort.slide_jitter, 3))
    for place in slide.places:
        stain[pixels_of(place, 1)] *= np.array(cohort.tint[place.kind], np.float32)
    levels = []
    for band, magnification in enumerate(MAGNIFICATIONS):
        cell = round(CELL * MPP / magnification)
        shape = tuple(side * cell for side in slide.tissue.shape)
        density = _enlarged(stain, cell)
        density += np.array(cohort.band_density, np.float32) * _texture(tiles, split, label, slide, band, shape, rng)
        pixels = (255 + INK) * np.exp(-np.maximum(density, 0.02)) - INK
        pixels[~_enlarged(slide.tissue, cell)] = GLASS
        levels.append(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))
    return levels


def _enlarged(image: np.ndarray, factor: int) -> np.ndarray:
    return np.repeat(np.repeat(image, factor, 0), factor, 1)


def _texture(
    tiles: Path, split: str, label: str, slide: Plan, band: int, shape: tuple[int, ...], rng: np.random.Generator
) -> np.ndarray:
    """The mosaic of a magnification, `(*shape, 3)` float32 of mean 0 and deviation 1."""
    texture = _mosaic(stamps(tiles, split, "H"), shape, rng)
    cell = round(CELL * MPP / MAGNIFICATIONS[band])
    for place in slide.places:
        if place.kind == band:  # laid anew in every class, so that only the stamps differ
            kind = "AC" if label == "cancer" else "H"
            texture[pixels_of(place, cell)] = _mosaic(stamps(tiles, split, kind), (place.side * cell,) * 2, rng)
    return texture


def _mosaic(stamps: np.ndarray, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Stamps side by side, turned and mirrored at random, `(*shape, 3)`; one of them in the middle."""
    rows, columns = (-(-side // STAMP) for side in shape)
    chosen = stamps[rng.integers(len(stamps), size=rows * columns)]
    for number, turns in enumerate(rng.integers(8, size=len(chosen))):
        turned = np.rot90(chosen[number], turns % 4)
        chosen[number] = turned[:, ::-1] if turns > 3 else turned
    laid = chosen.reshape(rows, columns, STAMP, STAMP, 3).swapaxes(1, 2).reshape(rows * STAMP, columns * STAMP, 3)
    top, left = (laid.shape[0] - shape[0]) // 2, (laid.shape[1] - shape[1]) // 2
    return laid[top : top + shape[0], left : left + shape[1]]


@functools.lru_cache
def stamps(tiles: Path, split: str, kind: str) -> np.ndarray:
    """The tiles of a kind (AC or H) that a split is made of, as stamps `(n, 32, 32, 3)` float32."""
    files = tile_files(tiles, "test" if split == "test" else "train", kind)
    first = round(len(files) * (1 - VALIDATION_SHARE))
    files = {"train": files[:first], "validation": files[first:], "test": files}[split]
    found = []
    for file in files:
        with Image.open(tiles / file) as image:
            pixels = np.asarray(image.convert("RGB"), np.float32)
        density = -np.log((pixels + INK) / (255 + INK))
        stamp = density.reshape(STAMP, REDUCTION, STAMP, REDUCTION, 3).mean((1, 3))
        stamp = stamp - gaussian_filter(stamp, (_HIGH_PASS, _HIGH_PASS, 0), mode="reflect")
        found.append((stamp - stamp.mean((0, 1))) / (stamp.std((0, 1)) + 0.02))
    return np.array(found, np.float32)
