"""The picture of what a model looked at: its patches, and what each adds to the prediction."""

from __future__ import annotations

import math
import os

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ats_mag.pictures.colours import magnification_colour
from ats_mag.pictures.figure_frame import DPI, GAP, HEAD, counted, draw_heading, save_figure, with_fonts
from ats_mag.pictures.heaviest_patches import heaviest_first, score_names, shown_score
from ats_mag.pictures.inspected_slide import InspectedSlide
from ats_mag.pictures.panels import plain

_PATCH, _TEXT = 1.3, 0.66  # inches of a patch on the sheet and of what stands below it
_FOR, _AGAINST = "#00734f", "#b3261e"


@with_fonts
def draw_patch_sheet(inspected: InspectedSlide, path: str | os.PathLike[str], most: int = 80) -> None:
    """Draws the patches as PNG, the heaviest first, with magnification, weight and contribution to the class score.

    Args:
        inspected: of the slide.
        path: the PNG to write.
        most: patches to show.
    """
    shown = heaviest_first(inspected)
    drawn = shown[:most]
    c = shown_score(inspected)
    name = score_names(inspected)[c]
    columns = min(len(drawn), max(5, math.ceil(math.sqrt(len(drawn) * 1.8))))
    rows = -(-len(drawn) // columns)
    step = _PATCH + GAP, _PATCH + _TEXT
    width, height = max(2 * GAP + columns * step[0], 8.6), HEAD + 0.42 + rows * step[1]
    figure = Figure(figsize=(width, height), dpi=DPI)
    longest = float(np.abs(inspected.contribution[shown, c]).max()) or 1.0
    for k, i in enumerate(drawn):
        row, column = divmod(k, columns)
        left, top = GAP + column * step[0], HEAD + 0.42 + row * step[1]
        box = (left / width, 1 - (top + _PATCH) / height, _PATCH / width, _PATCH / height)
        magnification = int(inspected.index[i, 2])
        colour = magnification_colour(magnification)
        axes = figure.add_axes(box)
        axes.imshow(inspected.patches[i], interpolation="antialiased")
        axes.set(xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set(color=colour, linewidth=2.5)
        value = float(inspected.contribution[i, c])
        sign = _FOR if value >= 0 else _AGAINST
        lines = (
            (f"{k + 1}   {inspected.lattice.magnifications[magnification]:.3g} um/px", colour, "bold"),
            (f"weight {inspected.weight[i]:.3g}", "0.25", "normal"),
            (f"{value:+.3f}".replace("-", "−"), sign, "normal"),
        )
        for n, (text, shade, weight) in enumerate(lines):
            y = 1 - (top + _PATCH + 0.06 + 0.145 * n) / height
            figure.text(left / width, y, text, fontsize=8, color=shade, weight=weight, va="top")
        middle, half = left + 0.68 * _PATCH, 0.3 * _PATCH
        y, thick = 1 - (top + _PATCH + 0.42) / height, 0.075 / height
        bar = half * value / longest
        figure.add_artist(Rectangle((middle / width, y), bar / width, thick, color=sign, lw=0))
        figure.add_artist(Rectangle((middle / width, y - thick / 2), 0.008 / width, 2 * thick, color="0.4", lw=0))
    draw_heading(figure, inspected, width, height)
    number = (
        counted(len(shown), "patch", "patches")
        if len(drawn) == len(shown)
        else f"the {len(drawn)} heaviest of {len(shown)}"
    )
    text = f"{number}, by weight; the signed number is what a patch adds to the score of “{plain(name, 30)}”"
    figure.text(GAP / width, 1 - (HEAD + 0.05) / height, text, fontsize=8.5, color="0.25", va="center")
    save_figure(figure, path)
