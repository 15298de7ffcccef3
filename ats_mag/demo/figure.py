"""One figure of what a model looked at."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.patches import Circle

from ats_mag.demo.slides import Place
from ats_mag.pictures.colours import magnification_colour
from ats_mag.pictures.heaviest_patches import heaviest_first
from ats_mag.pictures.inspected_slide import InspectedSlide
from ats_mag.pictures.panels import LEAST_HIGHEST, draw_attention, draw_colour_bar, draw_places, draw_slide

_SHOWN_PATCHES = 4  # of each magnification


def draw_figure(
    path: str | os.PathLike[str],
    inspected_slides: Sequence[InspectedSlide],
    labels: Sequence[str],
    places: Sequence[Sequence[Place]],
) -> None:
    """Draws one row per slide: overview with the sampled patches to scale, attention per magnification, patches.

    Args:
        path: the PNG to write.
        inspected_slides: of the slides, by the same model.
        labels: the true class of each slide.
        places: per slide what to encircle.
    """
    magnifications = inspected_slides[0].lattice.magnifications
    figure = Figure(figsize=(3.1 * (3.4 + len(magnifications)), 3.35 * len(inspected_slides)), layout="constrained")
    widths = [1.0, *[1.0] * len(magnifications), 0.05, 2.1]
    grid = figure.add_gridspec(len(inspected_slides), len(widths), width_ratios=widths)
    for row, (inspected, label) in enumerate(zip(inspected_slides, labels, strict=True)):
        axes = figure.add_subplot(grid[row, 0])
        draw_slide(axes, inspected)
        _encircle(axes, inspected, places[row])
        draw_places(axes, inspected, heaviest_first(inspected))
        predicted = int(inspected.probabilities.argmax())
        title = (
            f"class '{label}', predicted '{inspected.classes[predicted]}' ({inspected.probabilities[predicted]:.2f})"
        )
        axes.set_title(title, fontsize=9)
        relative = inspected.relative_attention
        highest = max(LEAST_HIGHEST, float(relative.max()))
        for m, mpp in enumerate(magnifications):
            axes = figure.add_subplot(grid[row, 1 + m])
            draw_attention(axes, inspected, relative[..., m], highest)
            title = f"attention at {mpp:.3g} um/px: {inspected.attention[..., m].sum():.2f} of 1"
            axes.set_title(title, fontsize=9, color=magnification_colour(m))
        draw_colour_bar(figure.add_subplot(grid[row, -2]), highest)
        _draw_patches(figure, grid[row, -1], inspected)
    figure.savefig(path, dpi=110)


def _encircle(axes: Axes, inspected: InspectedSlide, places: Sequence[Place]) -> None:
    for place in places:
        centre, radius = inspected.on_overview((place.x, place.y)), place.radius / inspected.overview_px
        axes.add_patch(Circle(centre, radius, fill=False, color="black", lw=0.6, ls=":"))


def _draw_patches(figure: Figure, cell: SubplotSpec, inspected: InspectedSlide) -> None:
    """The heaviest patches of each magnification, a line per magnification."""
    grid = cell.subgridspec(len(inspected.lattice.magnifications), _SHOWN_PATCHES)
    shown = heaviest_first(inspected)
    for m, mpp in enumerate(inspected.lattice.magnifications):
        for k, i in enumerate(shown[inspected.index[shown, 2] == m][:_SHOWN_PATCHES]):
            axes = figure.add_subplot(grid[m, k])
            axes.imshow(np.asarray(inspected.patches[i]))
            title = f"{mpp:.3g} um/px\nweight {inspected.weight[i]:.2f}"
            axes.set_title(title, fontsize=7, color=magnification_colour(m))
            axes.set_axis_off()
