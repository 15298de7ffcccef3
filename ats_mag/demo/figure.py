"""One figure of what a model looked at."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from ats_mag.pictures.colours import magnification_colour
from ats_mag.pictures.look import SlideLook
from ats_mag.pictures.panels import draw_attention, draw_colour_bar, draw_places, draw_slide
from ats_mag.pictures.patches import looked_at

_SHOWN_PATCHES = 4  # of each magnification


def draw_figure(
    path: str | os.PathLike[str],
    looks: Sequence[SlideLook],
    labels: Sequence[str],
    places: Sequence[Sequence[Any]],
) -> None:
    """Draws one row per slide: overview with the sampled patches to scale, attention per magnification, patches.

    Args:
        path: the PNG to write.
        looks: of the slides, by the same model.
        labels: the true class of each slide.
        places: per slide what to encircle: objects with `kind`, `x`, `y`, `radius` in level-0 pixels.
    """
    magnifications = looks[0].lattice.magnifications
    figure = Figure(figsize=(3.1 * (3.4 + len(magnifications)), 3.35 * len(looks)), layout="constrained")
    widths = [1.0, *[1.0] * len(magnifications), 0.05, 2.1]
    grid = figure.add_gridspec(len(looks), len(widths), width_ratios=widths)
    for row, (look, label) in enumerate(zip(looks, labels, strict=True)):
        axes = figure.add_subplot(grid[row, 0])
        draw_slide(axes, look)
        _encircle(axes, look, places[row])
        draw_places(axes, look, looked_at(look))
        predicted = int(look.probabilities.argmax())
        title = f"class '{label}', predicted '{look.classes[predicted]}' ({look.probabilities[predicted]:.2f})"
        axes.set_title(title, fontsize=9)
        highest = float(look.attention.max())
        for m, mpp in enumerate(magnifications):
            axes = figure.add_subplot(grid[row, 1 + m])
            attention = look.attention[..., m]
            draw_attention(axes, look, attention, highest)
            title = f"attention at {mpp:.3g} um/px: {attention.sum():.2f} of 1"
            axes.set_title(title, fontsize=9, color=magnification_colour(m))
        draw_colour_bar(figure.add_subplot(grid[row, -2]), highest)
        _draw_patches(figure, grid[row, -1], look)
    figure.savefig(path, dpi=110)


def _encircle(axes: Axes, look: SlideLook, places: Sequence[Any]) -> None:
    for place in places:
        centre, radius = look.on_overview((place.x, place.y)), place.radius / look.overview_px
        axes.add_patch(Circle(centre, radius, fill=False, color="black", lw=0.6, ls=":"))


def _draw_patches(figure: Figure, cell: Any, look: SlideLook) -> None:
    """The heaviest patches of each magnification, a line per magnification."""
    grid = cell.subgridspec(len(look.lattice.magnifications), _SHOWN_PATCHES)
    shown = looked_at(look)
    for m, mpp in enumerate(look.lattice.magnifications):
        for k, i in enumerate(shown[look.index[shown, 2] == m][:_SHOWN_PATCHES]):
            axes = figure.add_subplot(grid[m, k])
            axes.imshow(np.asarray(look.patches[i]))
            title = f"{mpp:.3g} um/px\nweight {look.weight[i]:.2f}"
            axes.set_title(title, fontsize=7, color=magnification_colour(m))
            axes.set_axis_off()
