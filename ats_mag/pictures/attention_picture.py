"""The picture of where a model looked: attention and patches over the slide's overview."""

from __future__ import annotations

import os
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ats_mag.pictures.colours import magnification_colour
from ats_mag.pictures.figure_frame import DPI, GAP, HEAD, counted, draw_heading, save_figure, with_fonts
from ats_mag.pictures.heaviest_patches import heaviest_first
from ats_mag.pictures.inspected_slide import InspectedSlide
from ats_mag.pictures.panels import (
    LEAST_HIGHEST,
    draw_attention,
    draw_colour_bar,
    draw_places,
    draw_scale_bar,
    draw_slide,
)
from ats_mag.pictures.patch_numbers import NUMBERED, draw_numbers

_WIDE, _HIGH = 15.0, 9.5  # inches that the panels should fill
_TITLE, _BELOW, _BAR = 0.48, 0.32, 1.05  # inches above and below a panel, and of the colour bar
_NARROWEST = 2.75  # inches that a panel's title takes


@with_fonts
def draw_attention_picture(inspected: InspectedSlide, path: str | os.PathLike[str]) -> None:
    """Draws the attention over the overview as PNG.

    One panel shows the slide with the patches, numbered as on the sheet; one per magnification its attention and its
    patches; one the attention of all magnifications together. Attention is in multiples of uniform attention. All outlines are the patches' true fields of view.
    """
    shown = heaviest_first(inspected)
    n_magnifications = len(inspected.lattice.magnifications)
    panels = 1 + n_magnifications + (n_magnifications > 1)
    pixels = inspected.shown_size
    columns, size = _arrange(panels, pixels[0] / pixels[1])
    rows = -(-panels // columns)
    cell = max(size[0], _NARROWEST)
    step = cell + GAP, size[1] + _TITLE + _BELOW
    width, height = 2 * GAP + columns * step[0] + _BAR, HEAD + rows * step[1] + 0.1
    figure = Figure(figsize=(width, height), dpi=DPI)
    points = 72 * size[0] / pixels[0]
    relative = inspected.relative_attention
    highest = max(LEAST_HIGHEST, float(relative.max()))

    def panel(number: int, title: str, more: str, colour: str = "black") -> Axes:
        row, column = divmod(number, columns)
        left, top = GAP + column * step[0], HEAD + row * step[1] + _TITLE
        axes = figure.add_axes((left / width, 1 - (top + size[1]) / height, size[0] / width, size[1] / height))
        place: dict[str, Any] = {"x": left / width, "ha": "left", "va": "bottom"}
        figure.text(y=1 - (top - 0.24) / height, s=title, fontsize=9.5, weight="bold", color=colour, **place)
        figure.text(y=1 - (top - 0.07) / height, s=more, fontsize=8.5, color="0.25", **place)
        return axes

    axes = panel(0, "the slide", _slide_note(len(shown)))
    draw_slide(axes, inspected)
    draw_places(axes, inspected, shown)
    draw_numbers(axes, inspected, points)
    draw_scale_bar(axes, inspected, points)
    for m, mpp in enumerate(inspected.lattice.magnifications):
        here = shown[inspected.index[shown, 2] == m]
        more = f"{100 * inspected.attention[..., m].sum():.1f} % of the attention, {counted(len(here), 'patch', 'patches')}"
        field = f"{mpp:.3g} um/px, fields of {inspected.lattice.field_of_view_um(m):.3g} um"
        axes = panel(1 + m, field, more, magnification_colour(m))
        draw_attention(axes, inspected, relative[..., m], highest)
        draw_places(axes, inspected, here, 0.8)
    if n_magnifications > 1:
        axes = panel(1 + n_magnifications, "all magnifications", "the mean of their attention")
        draw_attention(axes, inspected, relative.mean(axis=-1), highest)
    bar = min(3.2, rows * step[1] - _TITLE - _BELOW)
    top = HEAD + _TITLE
    left = GAP + columns * step[0]
    axes = figure.add_axes((left / width, 1 - (top + bar) / height, 0.16 / width, bar / height))
    draw_colour_bar(axes, highest, "square-root scale, one for all panels")
    draw_heading(figure, inspected, width, height)
    save_figure(figure, path)


def _arrange(panels: int, aspect: float) -> tuple[int, tuple[float, float]]:
    """Columns, and the size of a panel in inches, so that panels of one aspect (width / height) get large."""

    def size(columns: int) -> tuple[float, float]:
        rows = -(-panels // columns)
        wide = (_WIDE - columns * GAP) / columns
        high = (_HIGH - rows * (_TITLE + _BELOW)) / rows
        return min(wide, high * aspect, 5.5 * max(1.0, aspect)), min(high, wide / aspect, 5.5 * max(1.0, 1 / aspect))

    columns = max(range(1, panels + 1), key=lambda c: (round(size(c)[0], 2), -c))
    return columns, size(columns)


def _slide_note(number: int) -> str:
    numbered = "; the heaviest are numbered" if number > NUMBERED else ""
    return f"{counted(number, 'patch', 'patches')}, true to scale{numbered}"
