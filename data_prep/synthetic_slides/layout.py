"""How the slides are made, and which tile lies where."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from data_prep.colon_tiles import TILE, ragged_tissue, tile_files

LABELS = {"healthy": "H", "cancer": "AC"}  # of a slide -> folder of the tiles in its places
LARGEST_PLACE_SHARE = 0.02  # of the tissue, all places of a slide together


class Cohort(BaseModel):
    """How the slides are made.

    Attributes:
        train, test: slides of each split, half of them of either class.
        seed: of everything that is drawn.
        tissue_side: least and greatest side of the tissue, in tiles.
        places: places per slide.
        place_side: side of a place in tiles.
        mean_density, density_deviation: optical density of the stain, per channel (red, green, blue).
        place_density: factor of the mean density in a place, the same in both classes.
        slide_jitter, tile_jitter: deviation of the logarithm of mean and deviation, per slide and per tile.
        field: deviation of the smooth field's optical density.
        file_tile: side of a tile of the slides' files, in pixels: that of the squares they are composed of, or another.
        quality: of JPEG.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    train: int = Field(200, ge=0)
    test: int = Field(100, ge=0)
    seed: int = Field(0, ge=0)
    tissue_side: tuple[int, int] = (22, 26)
    places: int = Field(2, ge=1)
    place_side: int = Field(2, ge=1)
    mean_density: tuple[float, float, float] = (0.42, 0.72, 0.46)
    density_deviation: tuple[float, float, float] = (0.22, 0.30, 0.22)
    place_density: float = 1.45
    slide_jitter: float = 0.12
    tile_jitter: float = 0.06
    field: float = 0.12
    file_tile: int = Field(TILE, ge=16, le=2048, multiple_of=16)
    quality: int = Field(85, ge=1, le=100)


class Slide(NamedTuple):
    """A composed slide before it is painted.

    Attributes:
        tiles: `(R, C)` file names, "" on glass.
        places: `(row, column)` of the places' first tiles.
        inside_place: `(R, C)` bool.
    """

    tiles: np.ndarray
    places: list[tuple[int, int]]
    inside_place: np.ndarray


def compose(tiles: Path, split: str, label: str, cohort: Cohort, rng: np.random.Generator) -> Slide:
    """Chooses the shape of the tissue, the places and the tile of each square.

    The choices up to the tiles themselves do not depend on the label.
    """
    tissue = ragged_tissue(cohort.tissue_side, 12, rng)
    rows, columns = (side - 2 for side in tissue.shape)
    side = cohort.place_side
    share = cohort.places * side**2 / tissue.sum()
    if share > LARGEST_PLACE_SHARE:
        raise ValueError(
            f"places would take {share:.1%} of the tissue, more than {LARGEST_PLACE_SHARE:.0%}: "
            "make the tissue larger or the places smaller"
        )
    inside_place = np.zeros_like(tissue)
    places: list[tuple[int, int]] = []
    for _ in range(10_000):
        if len(places) == cohort.places:
            break
        row, column = (int(v) for v in rng.integers(2, [rows - side + 1, columns - side + 1]))
        near = (slice(row - 1, row + side + 1), slice(column - 1, column + side + 1))
        if tissue[near].all() and not inside_place[near].any():
            inside_place[row : row + side, column : column + side] = True
            places.append((row, column))
    else:
        raise ValueError("the tissue has no room for the places: make it larger or the places fewer")
    healthy, content = tile_files(tiles, split, "H"), tile_files(tiles, split, LABELS[label])
    chosen = np.full(tissue.shape, "", dtype=object)
    for row, column in np.argwhere(tissue):
        draw = rng.random()  # one number per square, whichever kind it is taken from
        files = content if inside_place[row, column] else healthy
        chosen[row, column] = files[int(draw * len(files))]
    return Slide(chosen, places, inside_place)
