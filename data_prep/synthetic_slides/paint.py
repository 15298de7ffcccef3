"""The slide's tiles, stained alike whatever their kind."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from data_prep.colon_tiles import GLASS, INK, TILE
from data_prep.synthetic_slides.layout import Cohort, Slide

_DENSITY = -np.log((np.arange(256) + INK) / (255 + INK))


def paint(tiles: Path, slide: Slide, cohort: Cohort, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """The slide's tiles, row by row, stained: `(TILE, TILE, 3)` uint8.

    Every square takes the same number of random numbers, so a slide's stain does not depend on which tiles it has.
    """
    mean = np.array(cohort.mean_density) * np.exp(rng.normal(0, cohort.slide_jitter, 3))
    deviation = np.array(cohort.density_deviation) * np.exp(rng.normal(0, cohort.slide_jitter, 3))
    for name, dense in zip(slide.tiles.flat, slide.inside_place.flat, strict=True):
        jitter = np.exp(rng.normal(0, cohort.tile_jitter, (2, 3)))
        corners = rng.normal(0, cohort.field, (2, 2))
        turns, mirrored = int(rng.integers(4)), rng.random() < 0.5
        if not name:
            yield np.full((TILE, TILE, 3), GLASS, dtype=np.uint8)
            continue
        factor = cohort.place_density if dense else 1.0
        pixels = stain(tiles / name, mean * jitter[0] * factor, deviation * jitter[1], corners - corners.mean())
        pixels = np.rot90(pixels, turns)
        yield pixels[:, ::-1] if mirrored else pixels


def regroup(painted: Iterator[np.ndarray], columns: int, side: int) -> Callable[[int, int], np.ndarray]:
    """The painted squares, `columns` in a row, as a function (row, column) -> tile of `side` pixels.

    Tiles must be asked for row by row; no more than the rows of squares that they touch are held.
    """
    band, top = np.empty((0, columns * TILE, 3), np.uint8), 0

    def tile(row: int, column: int) -> np.ndarray:
        nonlocal band, top
        band, top = band[row * side - top :], row * side
        while len(band) < side:
            squares = [next(painted, None) for _ in range(columns)]
            if squares[0] is None:
                break
            band = np.concatenate([band, np.concatenate(squares, axis=1)])
        return band[:side, column * side : (column + 1) * side]

    return tile


def stain(file: Path, mean: np.ndarray, deviation: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """A tile whose optical density is brought to a given mean and deviation per channel.

    Args:
        file: of the tile.
        mean, deviation: `(3,)` of the optical density.
        corners: `(2, 2)` optical density to add at the tile's corners, bilinear between them.
    """
    pixels, own_mean, own_deviation = _read_tile(file)
    weight = np.linspace(0, 1, TILE, dtype=np.float32)
    weight = np.stack([1 - weight, weight])
    shade = np.exp(-(weight.T @ corners.astype(np.float32) @ weight))
    stained = np.empty(pixels.shape, dtype=np.uint8)
    for channel in range(3):
        # Both steps are affine in the density of single pixels: one table from old to new transmission.
        density = mean[channel] + deviation[channel] * (_DENSITY - own_mean[channel]) / own_deviation[channel]
        table = ((255 + INK) * np.exp(-density)).astype(np.float32)
        stained[..., channel] = np.clip(table[pixels[..., channel]] * shade - INK + 0.5, 0, 255)
    return stained


@functools.cache
def _read_tile(file: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A tile's pixels, and mean and deviation of its optical density per channel."""
    with Image.open(file) as image:
        pixels = np.asarray(image.convert("RGB"))
    if pixels.shape != (TILE, TILE, 3):
        raise ValueError(
            f"tile {str(file)!r} must be {TILE} x {TILE} pixels, and is {pixels.shape[1]} x {pixels.shape[0]}"
        )
    density = _DENSITY[pixels].reshape(-1, 3)
    return pixels, density.mean(0), density.std(0) + 1e-2
