"""Made slides whose class is written at one magnification only.

Every slide is real stained tissue (the immunohistochemistry image inside scikit-image, cut and turned at random) with
two kinds of tinted places, which show on the overview and are the same in every class:

- a *fine* place may carry a chequerboard of 2 pixels at 0.5 um/px. Any coarser view averages it away.
- a *coarse* place may carry stripes of 2 pixels at 2.0 um/px. They are painted into that level of the pyramid alone, so
  that they exist at no other resolution. A real scanner's levels agree with each other; these differ on purpose, to
  make sure that the only way to see a cue is to look at its magnification.

Class `fine` has the chequerboards, class `coarse` the stripes, class `none` neither: no magnification alone tells all
three apart, and the overview tells nothing.
"""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass

import numpy as np
from skimage import data, draw

from ats_mag.slides.writing.pyramid import write_pyramid

CLASSES = ("none", "fine", "coarse")
MPP = 0.5
SIDE = 2048
PLACE_RADIUS = 112  # level-0 pixels
DOWNSAMPLES = (1, 4, 32)
COARSE_DOWNSAMPLE = 4  # its level is at 2.0 um/px
CONTRAST = 40
PLACES = {"fine": 5, "coarse": 5}
BACKGROUND = 243


@dataclass(frozen=True)
class Place:
    """A tinted disc: kind `fine` or `coarse`, centre in level-0 pixels, radius in level-0 pixels."""

    kind: str
    x: int
    y: int
    radius: int = PLACE_RADIUS


def write_slide(path: str | os.PathLike[str], label: str, rng: np.random.Generator) -> list[Place]:
    """Makes one slide of class `label`, a pyramid of `DOWNSAMPLES`, and returns its places."""
    image, places = make_level0(label, rng)

    def edit_level(downsample: int, level: np.ndarray) -> None:
        if label == "coarse" and downsample == COARSE_DOWNSAMPLE:
            paint_coarse_cue(level, places)

    write_pyramid(path, image, MPP, DOWNSAMPLES, quality=85, subsampling=(1, 1), edit_level=edit_level)
    return places


def make_level0(label: str, rng: np.random.Generator) -> tuple[np.ndarray, list[Place]]:
    """Level 0: `(SIDE, SIDE, 3)` uint8 at `MPP` um/px, and the slide's places."""
    image = _tissue(rng)
    inside = _outline(rng)
    places = _choose_places(inside, rng)
    for place in places:
        _paint(image, place, label, rng)
    for channel, gain in enumerate(rng.uniform(0.95, 1.05, size=3)):
        shades = np.clip(np.rint(np.arange(256) * gain), 0, 255).astype("uint8")
        image[..., channel] = shades[image[..., channel]]
    image[~inside] = BACKGROUND
    return image, places


def paint_coarse_cue(level: np.ndarray, places: list[Place]) -> None:
    """Paints the stripes into the pyramid's level of `COARSE_DOWNSAMPLE`, in place."""
    for place in places:
        if place.kind == "coarse":
            x, y, r = (v // COARSE_DOWNSAMPLE for v in (place.x, place.y, place.radius))
            window = level[y - r : y + r, x - r : x + r]
            rows, columns = np.indices((2 * r, 2 * r))
            stripes = ((rows + columns) // 2 % 2) * 2.0 - 1.0
            _add(window, CONTRAST * stripes, r)


@functools.cache
def _stained() -> np.ndarray:
    """The stained image, paled so that the places stand out: `(512, 512, 3)` uint8."""
    pale = 0.55 * data.immunohistochemistry() + 0.45 * np.array([205, 185, 190])
    return np.rint(pale).astype("uint8")


def _tissue(rng: np.random.Generator) -> np.ndarray:
    """A canvas of parts of the stained image, turned and mirrored."""
    block = 256
    canvas = np.empty((SIDE, SIDE, 3), dtype="uint8")
    for row in range(0, SIDE, block):
        for col in range(0, SIDE, block):
            y, x = rng.integers(0, 512 - block + 1, size=2)
            part = np.rot90(_stained()[y : y + block, x : x + block], int(rng.integers(4)))
            canvas[row : row + block, col : col + block] = part[:, ::-1] if rng.random() < 0.5 else part
    return canvas


def _outline(rng: np.random.Generator) -> np.ndarray:
    """A rounded, irregular piece of tissue: true inside."""
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    radius = (
        SIDE * 0.43 * (1 + 0.08 * np.sin(2 * angle + rng.uniform(0, 6)) + 0.05 * np.sin(3 * angle + rng.uniform(0, 6)))
    )
    small = draw.polygon2mask(
        (SIDE // 8, SIDE // 8), np.stack([SIDE / 2 + radius * np.sin(angle), SIDE / 2 + radius * np.cos(angle)], 1) / 8
    )
    return np.repeat(np.repeat(small, 8, axis=0), 8, axis=1)


def _choose_places(inside: np.ndarray, rng: np.random.Generator) -> list[Place]:
    places: list[Place] = []
    while len(places) < sum(PLACES.values()):
        x, y = (int(v) for v in rng.integers(2 * PLACE_RADIUS, SIDE - 2 * PLACE_RADIUS, size=2))
        corners = [(y + dy, x + dx) for dy in (-PLACE_RADIUS, PLACE_RADIUS) for dx in (-PLACE_RADIUS, PLACE_RADIUS)]
        apart = all((x - p.x) ** 2 + (y - p.y) ** 2 > (2.1 * PLACE_RADIUS) ** 2 for p in places)
        if apart and all(inside[c] for c in corners):
            places.append(Place("fine" if len(places) < PLACES["fine"] else "coarse", x, y))
    return places


_TINT = {"fine": np.array([196, 150, 120], "float32"), "coarse": np.array([150, 150, 196], "float32")}


def _paint(image: np.ndarray, place: Place, label: str, rng: np.random.Generator) -> None:
    r = place.radius
    window = image[place.y - r : place.y + r, place.x - r : place.x + r]
    _add(window, 0.75 * (_TINT[place.kind] + rng.normal(0, 6, size=3) - window), r)
    if place.kind == "fine" and label == "fine":
        rows, columns = np.indices((2 * r, 2 * r)) // 2
        _add(window, CONTRAST * (((rows + columns) % 2) * 2.0 - 1.0), r)


def _add(window: np.ndarray, change: np.ndarray, radius: int) -> None:
    """Adds `change` to the disc inside a square window, with a soft edge."""
    rows, columns = np.indices(window.shape[:2]) + 0.5 - radius
    inside = np.clip((radius - np.hypot(rows, columns)) / (radius / 14), 0, 1)[..., None]
    change = change if change.ndim == 3 else change[..., None]
    window[:] = np.clip(np.rint(window + inside * change), 0, 255).astype("uint8")
