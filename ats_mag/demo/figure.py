"""One figure of what a model looked at."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle

from ats_mag.inspection import Inspection
from ats_mag.lattice import MPP_UNIT, Lattice

_COLOURS = ("tab:orange", "tab:blue", "tab:green", "tab:red")
_SHOWN_PATCHES = 4  # of each magnification


def draw_figure(
    path: str | os.PathLike[str],
    inspection: Inspection,
    inputs: dict[str, Any],
    lattice: Lattice,
    classes: Sequence[str],
    labels: Sequence[str],
    places: Sequence[Sequence[Any]],
) -> None:
    """Draws one row per slide: overview with the sampled patches to scale, attention per magnification, patches.

    Args:
        path: the PNG to write.
        inspection: of the slides.
        inputs: that were inspected.
        lattice: of the model.
        classes: names of the classes.
        labels: the true class of each slide.
        places: per slide what to encircle: objects with `kind`, `x`, `y`, `radius` in level-0 pixels.
    """
    n_slides, n_magnifications = len(labels), len(lattice.magnifications)
    columns = 1 + n_magnifications + 2
    figure = Figure(figsize=(3.1 * columns, 3.35 * n_slides), layout="constrained")
    grid = figure.add_gridspec(n_slides, columns)
    for row in range(n_slides):
        _draw_overview(figure.add_subplot(grid[row, 0]), row, inspection, inputs, lattice, places[row])
        predicted = int(inspection.probabilities[row].argmax())
        probability = inspection.probabilities[row][predicted]
        figure.axes[-1].set_title(
            f"class '{labels[row]}', predicted '{classes[predicted]}' ({probability:.2f})", fontsize=9
        )
        for m, mpp in enumerate(lattice.magnifications):
            axes = figure.add_subplot(grid[row, 1 + m])
            attention = inspection.attention[row, :, :, m]
            shown = axes.imshow(attention, cmap="magma", vmin=0, vmax=inspection.attention[row].max())
            axes.set_title(f"attention at {mpp:g} um/px: {attention.sum():.2f} of 1", fontsize=9, color=_COLOURS[m])
            axes.set_axis_off()
        figure.colorbar(shown, ax=axes, shrink=0.8, label="probability of a cell")
        _draw_patches(figure, grid[row, 1 + n_magnifications :], row, inspection, lattice)
    with matplotlib.rc_context({"svg.hashsalt": "ats_mag"}):
        figure.savefig(path, dpi=110)


def _draw_overview(axes: Any, row: int, inspection: Inspection, inputs: Any, lattice: Lattice, places: Any) -> None:
    axes.imshow(np.asarray(inputs["overview"][row]))
    x0, y0, _, _, mpp = (int(v) for v in inputs["geometry"][row])
    scale = mpp * MPP_UNIT / lattice.overview_mpp  # overview pixels per level-0 pixel
    for place in places:
        centre = ((place.x - x0) * scale - 0.5, (place.y - y0) * scale - 0.5)
        axes.add_patch(Circle(centre, place.radius * scale, fill=False, color="black", lw=0.6, ls=":"))
    for (x, y), downsample, (_, _, m) in zip(
        inspection.location[row], inspection.downsample[row], inspection.index[row], strict=True
    ):
        side = lattice.patch_size * downsample * scale
        corner = ((x - x0) * scale - 0.5, (y - y0) * scale - 0.5)
        axes.add_patch(Rectangle(corner, side, side, fill=False, color=_COLOURS[m], lw=1.2))
    axes.set_axis_off()


def _draw_patches(figure: Figure, cell: Any, row: int, inspection: Inspection, lattice: Lattice) -> None:
    """The heaviest patches of each magnification, a line per magnification."""
    grid = cell.subgridspec(len(lattice.magnifications), _SHOWN_PATCHES)
    for m, mpp in enumerate(lattice.magnifications):
        here = np.flatnonzero(inspection.index[row, :, 2] == m)
        for k, i in enumerate(here[np.argsort(-inspection.weight[row, here])][:_SHOWN_PATCHES]):
            axes = figure.add_subplot(grid[m, k])
            axes.imshow(inspection.patches[row, i])
            axes.set_title(f"{mpp:g} um/px\nweight {inspection.weight[row, i]:.2f}", fontsize=7, color=_COLOURS[m])
            axes.set_axis_off()
