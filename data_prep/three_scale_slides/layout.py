"""How the slides are made, and where their places lie."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from data_prep.colon_tiles import ragged_tissue

KINDS = ("fine", "middle", "coarse")
CLASSES = ("healthy", "cancer")
MAGNIFICATIONS = (0.5, 2.0, 8.0)  # um/px at which each kind's cue is seen


class Cohort(BaseModel):
    """How the slides are made.

    Attributes:
        train, validation, test: slides of each split, kinds and classes in turn.
        seed: of everything that is drawn.
        tissue_side: least and greatest side of the tissue, in cells of 64 um.
        places: places per slide.
        place_side: side of a fine, a middle and a coarse place, in cells.
        mean_density: optical density of the stain, per channel (red, green, blue).
        band_density: deviation of the optical density of the stamps, per channel.
        tint: factor of the mean density in the places of each kind, per channel.
        slide_jitter: deviation of the logarithm of a slide's mean density, per channel.
        quality: of JPEG.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    train: int = Field(720, ge=0)
    validation: int = Field(120, ge=0)
    test: int = Field(120, ge=0)
    seed: int = Field(0, ge=0)
    tissue_side: tuple[int, int] = (15, 17)
    places: int = Field(3, ge=1)
    place_side: tuple[int, int, int] = (4, 4, 5)
    mean_density: tuple[float, float, float] = (0.36, 0.85, 0.45)
    band_density: tuple[float, float, float] = (0.18, 0.24, 0.18)
    tint: tuple[tuple[float, float, float], ...] = ((2.0, 1.2, 1.2), (1.2, 2.0, 1.2), (1.2, 1.2, 2.2))
    slide_jitter: float = 0.07
    quality: int = Field(85, ge=1, le=100)


class Place(NamedTuple):
    """A square of one kind: first row and column, and side, in cells."""

    kind: int
    row: int
    column: int
    side: int


class Plan(NamedTuple):
    """A slide before it is painted: `tissue` `(R, C)` bool in cells, and the places."""

    tissue: np.ndarray
    places: list[Place]


def plan(kind: int, cohort: Cohort, rng: np.random.Generator) -> Plan:
    """Chooses the shape of the tissue and the places, of one kind; the class is not known here."""
    tissue = ragged_tissue(cohort.tissue_side, 10, rng)
    for _ in range(100):
        places = _lay(tissue, kind, cohort, rng)
        if places is not None:
            return Plan(tissue, places)
    raise ValueError("the tissue has no room for the places: make it larger or the places fewer")


def _lay(tissue: np.ndarray, kind: int, cohort: Cohort, rng: np.random.Generator) -> list[Place] | None:
    """Places that do not touch, or None where one after the other did not find room."""
    free, side = tissue.copy(), cohort.place_side[kind]
    places: list[Place] = []
    while len(places) < cohort.places:
        fits = np.argwhere(np.lib.stride_tricks.sliding_window_view(free, (side, side)).all((2, 3)))
        if not len(fits):
            return None
        row, column = (int(v) for v in fits[rng.integers(len(fits))])
        free[row - 1 : row + side + 1, column - 1 : column + side + 1] = False
        places.append(Place(kind, row, column, side))
    return places


def pixels_of(place: Place, cell: int) -> tuple[slice, slice]:
    """Rows and columns of a place in an image whose cells are so many pixels wide."""
    return tuple(slice(first * cell, (first + place.side) * cell) for first in (place.row, place.column))  # type: ignore[return-value]
