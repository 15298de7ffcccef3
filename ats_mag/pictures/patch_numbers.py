"""Numbers beside the outlines of patches, placed so that they hide nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle
from matplotlib.patheffects import withStroke

from ats_mag.pictures.colours import magnification_colour
from ats_mag.pictures.heaviest_patches import heaviest_first
from ats_mag.pictures.inspected_slide import InspectedSlide
from ats_mag.pictures.panels import place_on_overview

NUMBERED = 30  # patches that get a number, the heaviest

_Box = tuple[float, float, float, float]  # left, top, right, bottom; points

_HALO = [withStroke(linewidth=2.4, foreground="white", alpha=0.85)]
_NUMBER_SIZE = 7.5  # points
_SMALL = 9.0  # points; a field of view that is drawn smaller gets a ring to be found by


def draw_numbers(axes: Axes, inspected: InspectedSlide, points: float, most: int = NUMBERED) -> None:
    """Numbers of the patches beside their outlines, the heaviest first; where there is no room, none.

    Args:
        axes: with the outlines.
        inspected: of the slide.
        points: size of an overview pixel on paper.
        most: patches that may get a number.
    """
    width, height = (side * points for side in inspected.shown_size)
    shown = heaviest_first(inspected)
    fields = [_ringed(*(value * points for value in place_on_overview(inspected, i))) for i in shown]
    numbers: list[_Box] = []
    for number, (i, field) in enumerate(zip(shown[:most], fields, strict=False), start=1):
        w, h = 0.66 * _NUMBER_SIZE * len(str(number)), 0.95 * _NUMBER_SIZE
        places = [box for box in _beside(field, w, h) if _within(box, width, height)]
        places = [box for box in places if not any(_overlap(box, other) for other in numbers)]
        free = [box for box in places if not any(_overlap(box, other) for other in fields)]
        if not (free or places):
            continue
        left, top, right, below = box = (free or places)[0]
        numbers.append(box)
        colour = magnification_colour(int(inspected.index[i, 2]))
        middle = (field[0] + field[2]) / 2 / points, (field[1] + field[3]) / 2 / points
        if field[2] - field[0] > inspected.side_px[i] / inspected.overview_px * points + 1:
            radius = (field[2] - field[0]) / 2 / points
            axes.add_patch(Circle(middle, radius, fill=False, color=colour, lw=0.8, alpha=0.9, zorder=3))
        at = ((left + right) / 2 / points, (top + below) / 2 / points)
        if not _overlap(box, _wider(field, 1.5 * _NUMBER_SIZE)):  # it stands off
            nearest = tuple(
                np.clip(a, lo / points, hi / points) for a, lo, hi in zip(at, field[:2], field[2:], strict=True)
            )
            axes.plot(*zip(nearest, at, strict=True), color=colour, lw=0.7, zorder=3.5)
        style: dict[str, Any] = {"fontsize": _NUMBER_SIZE, "color": colour, "weight": "bold", "zorder": 4}
        axes.text(*at, str(number), ha="center", va="center", path_effects=_HALO, **style)


def _ringed(left: float, top: float, side: float) -> _Box:
    """The field of view, or what the ring around it takes where it is too small to be found."""
    more = max(0.0, 1.5 * _SMALL - side) / 2 if side < _SMALL else 0.0
    return _wider((left, top, left + side, top + side), more)


def _beside(field: _Box, w: float, h: float) -> list[_Box]:
    """Places for a text of a size around a field, the nearer first."""
    left, top, right, below = field
    places = []
    for gap in (2.0, 9.0, 18.0):
        across = (right + gap, left - gap - w, (left + right - w) / 2)
        down = (top - gap - h, below + gap, top, (top + below - h) / 2)
        corners = [(across[0], down[2]), (across[1], down[2]), (across[2], down[0]), (across[2], down[1])]
        corners += [(across[0], down[0]), (across[1], down[0]), (across[0], down[1]), (across[1], down[1])]
        places += [(x, y, x + w, y + h) for x, y in corners]
    return places


def _within(box: _Box, width: float, height: float) -> bool:
    return box[0] >= 0 and box[1] >= 0 and box[2] <= width and box[3] <= height


def _wider(box: _Box, more: float) -> _Box:
    return box[0] - more, box[1] - more, box[2] + more, box[3] + more


def _overlap(a: _Box, b: _Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
