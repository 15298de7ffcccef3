"""Pictures of what a model looked at: where, and at what."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ats_mag.pictures.colours import magnification_colour
from ats_mag.pictures.look import SlideLook
from ats_mag.pictures.panels import (
    NUMBERED,
    draw_attention,
    draw_colour_bar,
    draw_numbers,
    draw_places,
    draw_scale_bar,
    draw_slide,
    plain,
)
from ats_mag.pictures.patches import looked_at, score_names, shown_score
from ats_mag.system.whole_file import whole_file

_DPI = 150
_WIDE, _HIGH = 15.0, 9.5  # inches that the panels should fill
_TITLE, _BELOW, _GAP, _HEAD, _BAR = 0.48, 0.32, 0.22, 0.62, 1.05  # inches around and between panels
_NARROWEST = 2.75  # inches that a panel's title takes
_PATCH, _TEXT = 1.3, 0.66  # inches of a patch on the sheet and of what stands below it
_FOR, _AGAINST = "#00734f", "#b3261e"


def draw_attention_picture(look: SlideLook, path: str | os.PathLike[str]) -> None:
    """Draws the attention over the overview as PNG.

    One panel shows the slide with the patches, numbered as on the sheet; one per magnification its attention and its
    patches; one the attention of all magnifications together. All outlines are the patches' true fields of view.
    """
    shown = looked_at(look)
    n_magnifications = len(look.lattice.magnifications)
    panels = 1 + n_magnifications + (n_magnifications > 1)
    pixels = look.shown_size
    columns, size = _arrange(panels, pixels[0] / pixels[1])
    rows = -(-panels // columns)
    cell = max(size[0], _NARROWEST)
    step = cell + _GAP, size[1] + _TITLE + _BELOW
    width, height = 2 * _GAP + columns * step[0] + _BAR, _HEAD + rows * step[1] + 0.1
    figure = Figure(figsize=(width, height), dpi=_DPI)
    points = 72 * size[0] / pixels[0]
    total = look.attention.sum(axis=-1)
    highest = float(total.max())

    def panel(number: int, title: str, more: str, colour: str = "black") -> Any:
        row, column = divmod(number, columns)
        left, top = _GAP + column * step[0], _HEAD + row * step[1] + _TITLE
        axes = figure.add_axes((left / width, 1 - (top + size[1]) / height, size[0] / width, size[1] / height))
        place: dict[str, Any] = {"x": left / width, "ha": "left", "va": "bottom"}
        figure.text(y=1 - (top - 0.24) / height, s=title, fontsize=9.5, weight="bold", color=colour, **place)
        figure.text(y=1 - (top - 0.07) / height, s=more, fontsize=8.5, color="0.25", **place)
        return axes

    axes = panel(0, "the slide", _slide_note(len(shown)))
    draw_slide(axes, look)
    draw_places(axes, look, shown)
    draw_numbers(axes, look, points)
    draw_scale_bar(axes, look, points)
    for m, mpp in enumerate(look.lattice.magnifications):
        here = shown[look.index[shown, 2] == m]
        attention = look.attention[..., m]
        more = f"{100 * attention.sum():.1f} % of the attention, {_count(len(here), 'patch', 'patches')}"
        field = f"{mpp:.3g} um/px, fields of {look.lattice.field_of_view_um(m):.3g} um"
        axes = panel(1 + m, field, more, magnification_colour(m))
        draw_attention(axes, look, attention, highest)
        draw_places(axes, look, here, 0.8)
    if n_magnifications > 1:
        axes = panel(1 + n_magnifications, "all magnifications", "the sum of their attention")
        draw_attention(axes, look, total, highest)
    bar = min(3.2, rows * step[1] - _TITLE - _BELOW)
    top = _HEAD + _TITLE
    left = _GAP + columns * step[0]
    axes = figure.add_axes((left / width, 1 - (top + bar) / height, 0.16 / width, bar / height))
    draw_colour_bar(axes, highest, "square-root scale, one for all panels")
    _heading(figure, look, width, height)
    _save(figure, path)


def draw_patch_sheet(look: SlideLook, path: str | os.PathLike[str], most: int = 80) -> None:
    """Draws the patches as PNG, the heaviest first, with magnification, weight and contribution to the class score.

    Args:
        look: of the slide.
        path: the PNG to write.
        most: patches to show.
    """
    shown = looked_at(look)
    drawn = shown[:most]
    c = shown_score(look)
    name = score_names(look)[c]
    columns = min(len(drawn), max(5, math.ceil(math.sqrt(len(drawn) * 1.8))))
    rows = -(-len(drawn) // columns)
    step = _PATCH + _GAP, _PATCH + _TEXT
    width, height = max(2 * _GAP + columns * step[0], 8.6), _HEAD + 0.42 + rows * step[1]
    figure = Figure(figsize=(width, height), dpi=_DPI)
    longest = float(np.abs(look.contribution[shown, c]).max()) or 1.0
    for k, i in enumerate(drawn):
        row, column = divmod(k, columns)
        left, top = _GAP + column * step[0], _HEAD + 0.42 + row * step[1]
        box = (left / width, 1 - (top + _PATCH) / height, _PATCH / width, _PATCH / height)
        magnification = int(look.index[i, 2])
        colour = magnification_colour(magnification)
        axes = figure.add_axes(box)
        axes.imshow(look.patches[i], interpolation="antialiased")
        axes.set(xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set(color=colour, linewidth=2.5)
        value = float(look.contribution[i, c])
        sign = _FOR if value >= 0 else _AGAINST
        lines = (
            (f"{k + 1}   {look.lattice.magnifications[magnification]:.3g} um/px", colour, "bold"),
            (f"weight {look.weight[i]:.3g}", "0.25", "normal"),
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
    _heading(figure, look, width, height)
    number = (
        _count(len(shown), "patch", "patches")
        if len(drawn) == len(shown)
        else f"the {len(drawn)} heaviest of {len(shown)}"
    )
    text = f"{number}, by weight; the signed number is what a patch adds to the score of “{plain(name, 30)}”"
    figure.text(_GAP / width, 1 - (_HEAD + 0.05) / height, text, fontsize=8.5, color="0.25", va="center")
    _save(figure, path)


def _arrange(panels: int, aspect: float) -> tuple[int, tuple[float, float]]:
    """Columns, and the size of a panel in inches, so that panels of one aspect (width / height) get large."""

    def size(columns: int) -> tuple[float, float]:
        rows = -(-panels // columns)
        wide = (_WIDE - columns * _GAP) / columns
        high = (_HIGH - rows * (_TITLE + _BELOW)) / rows
        return min(wide, high * aspect, 5.5 * max(1.0, aspect)), min(high, wide / aspect, 5.5 * max(1.0, 1 / aspect))

    columns = max(range(1, panels + 1), key=lambda c: (round(size(c)[0], 2), -c))
    return columns, size(columns)


def _heading(figure: Figure, look: SlideLook, width: float, height: float) -> None:
    order = np.argsort(-look.probabilities, kind="stable")[:4]
    scores = ",  ".join(f"{plain(look.classes[c], 24)} {look.probabilities[c]:.3f}" for c in order)
    more = ", ..." if len(look.classes) > len(order) else ""
    name = os.path.basename(look.slide)
    title = figure.text(_GAP / width, 1 - 0.14 / height, plain(name), fontsize=12, weight="bold", va="top")
    with _without_glyph_warnings():
        share = (width - 2 * _GAP) * figure.dpi / title.get_window_extent().width
    if share < 1:
        title.set_text(plain(name, int(0.97 * share * len(name))))
    text = f"{scores}{more}"
    figure.text(_GAP / width, 1 - 0.38 / height, text, fontsize=9.5, va="top")


def _slide_note(number: int) -> str:
    numbered = "; the heaviest are numbered" if number > NUMBERED else ""
    return f"{_count(number, 'patch', 'patches')}, true to scale{numbered}"


def _count(number: int, one: str, several: str) -> str:
    return f"{number} {one if number == 1 else several}"


def _save(figure: Figure, path: str | os.PathLike[str]) -> None:
    with whole_file(path) as unfinished, _without_glyph_warnings():
        figure.savefig(unfinished, format="png", dpi=_DPI, metadata={"Software": None})


@contextmanager
def _without_glyph_warnings() -> Iterator[None]:
    """Letters that the font lacks, in names of slides and classes, become boxes; that is no news."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield
