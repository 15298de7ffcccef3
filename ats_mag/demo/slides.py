"""Made slides whose class is written at one magnification only.

Every slide is real stained tissue (the immunohistochemistry image inside scikit-image, cut and turned at random) with
two kinds of tinted places that show on the overview. What a place holds does not show there:

- a *fine* place may carry a texture of stripes one pixel wide at 0.5 um/px, which any coarser view averages away;
- a *coarse* place always carries pairs of a red and a blue spot. Which of the two lies on the left is the cue. The
  spots are farther apart than a patch at 0.5 um/px is wide, so that such a patch sees one of them at most, and the
  overview averages both into the tint.

Class `fine`: the stripes are there, the pairs are blue-red. Class `coarse`: no stripes, the pairs are red-blue. Class
`none`: no stripes, blue-red. So every class has the same places, and neither magnification alone tells all three apart.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from skimage import data, draw

CLASSES = ("none", "fine", "coarse")
MPP = 0.5
SIDE = 2048
PLACE_RADIUS = 112  # level-0 pixels
FINE_CONTRAST = 40
COARSE_CONTRAST = 20
GRAIN = 90
BACKGROUND = 243


@dataclass(frozen=True)
class Place:
    """A tinted disc: kind `fine` or `coarse`, centre in level-0 pixels, radius in level-0 pixels."""

    kind: str
    x: int
    y: int
    radius: int = PLACE_RADIUS


def make_slide(label: str, rng: np.random.Generator, places_per_kind: int = 5) -> tuple[np.ndarray, list[Place]]:
    """One slide: `(SIDE, SIDE, 3)` uint8 at `MPP` um/px, and its places."""
    image = _tissue(rng)
    inside = _outline(rng)
    places = _choose_places(inside, rng, places_per_kind)
    for place in places:
        _paint(image, place, label, rng)
    for channel, gain in enumerate(rng.uniform(0.95, 1.05, size=3)):
        shades = np.clip(np.rint(np.arange(256) * gain), 0, 255).astype("uint8")
        image[..., channel] = shades[image[..., channel]]
    image[~inside] = BACKGROUND
    return image, places


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
    radius = SIDE * 0.43 * (1 + 0.08 * np.sin(2 * angle + rng.uniform(0, 6)) + 0.05 * np.sin(3 * angle + rng.uniform(0, 6)))
    small = draw.polygon2mask(
        (SIDE // 8, SIDE // 8), np.stack([SIDE / 2 + radius * np.sin(angle), SIDE / 2 + radius * np.cos(angle)], 1) / 8
    )
    return np.repeat(np.repeat(small, 8, axis=0), 8, axis=1)


def _choose_places(inside: np.ndarray, rng: np.random.Generator, per_kind: int) -> list[Place]:
    places: list[Place] = []
    while len(places) < 2 * per_kind:
        x, y = (int(v) for v in rng.integers(2 * PLACE_RADIUS, SIDE - 2 * PLACE_RADIUS, size=2))
        corners = [(y + dy, x + dx) for dy in (-PLACE_RADIUS, PLACE_RADIUS) for dx in (-PLACE_RADIUS, PLACE_RADIUS)]
        apart = all((x - p.x) ** 2 + (y - p.y) ** 2 > (2.4 * PLACE_RADIUS) ** 2 for p in places)
        if apart and all(inside[c] for c in corners):
            places.append(Place("fine" if len(places) < per_kind else "coarse", x, y))
    return places


_TINT = {"fine": np.array([196, 150, 120], "float32"), "coarse": np.array([150, 150, 196], "float32")}


def _paint(image: np.ndarray, place: Place, label: str, rng: np.random.Generator) -> None:
    r = place.radius
    window = image[place.y - r : place.y + r, place.x - r : place.x + r]
    yy, xx = np.mgrid[-r:r, -r:r].astype("float32") + 0.5
    tint = _TINT[place.kind] + rng.normal(0, 6, size=3).astype("float32")
    # A random slope of the tint drowns what little of the pairs' order is left on the overview.
    slope = rng.normal(0, 8, size=(2, 3)).astype("float32")
    painted = 0.25 * window + 0.75 * tint + (xx[..., None] * slope[0] + yy[..., None] * slope[1]) / r
    if place.kind == "fine":
        if label == "fine":
            painted += FINE_CONTRAST * _checks(r, 2)[..., None]
    else:
        if label == "coarse":
            painted += COARSE_CONTRAST * _checks(r, 16)[..., None]
        painted += GRAIN * rng.choice(np.array([-1, 1], "float32"), size=(2 * r, 2 * r, 1))
    inside = np.clip((r - np.hypot(xx, yy)) / 8, 0, 1)[..., None]
    window[:] = np.clip(np.rint(window + inside * (painted - window)), 0, 255).astype("uint8")


def _checks(r: int, side: int) -> np.ndarray:
    """A chequerboard of +1 and -1 with fields of `side` pixels: `(2r, 2r)`."""
    rows, columns = np.indices((2 * r, 2 * r)) // side
    return ((rows + columns) % 2) * 2.0 - 1.0
