"""What all pictures of a slide have: a heading with the prediction, margins, and how they are written."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Concatenate, ParamSpec

import numpy as np
from matplotlib.figure import Figure

from ats_mag.pictures.inspected_slide import InspectedSlide
from ats_mag.pictures.panels import plain
from ats_mag.system.atomic_files import whole_file
from ats_mag.system.figure_fonts import any_script, readable

_Rest = ParamSpec("_Rest")

DPI = 150
GAP, HEAD = 0.22, 0.62  # inches around and between panels, and of the heading


def draw_heading(figure: Figure, inspected: InspectedSlide, width: float, height: float) -> None:
    """Writes the slide's name and the probabilities of its likeliest classes above a figure of a size in inches."""
    order = np.argsort(-inspected.probabilities, kind="stable")[:4]
    scores = ",  ".join(f"{plain(inspected.classes[c], 24)} {inspected.probabilities[c]:.3f}" for c in order)
    more = ", ..." if len(inspected.classes) > len(order) else ""
    name = inspected.name
    title = figure.text(GAP / width, 1 - 0.14 / height, plain(name), fontsize=12, weight="bold", va="top")
    share = (width - 2 * GAP) * figure.dpi / title.get_window_extent().width
    if share < 1:
        title.set_text(plain(name, int(0.97 * share * len(readable(name)))))
    text = f"{scores}{more}"
    figure.text(GAP / width, 1 - 0.38 / height, text, fontsize=9.5, va="top")


def counted(number: int, one: str, several: str) -> str:
    """`1 patch`, `2 patches`..."""
    return f"{number} {one if number == 1 else several}"


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Writes a PNG, whole or not at all."""
    with whole_file(path) as unfinished:
        figure.savefig(unfinished, format="png", dpi=DPI, metadata={"Software": None})


def with_fonts(
    draw: Callable[Concatenate[InspectedSlide, _Rest], None],
) -> Callable[Concatenate[InspectedSlide, _Rest], None]:
    """The function, which draws a slide, with fonts for the names of the slide and of its classes."""

    @functools.wraps(draw)
    def drawn(inspected: InspectedSlide, *args: _Rest.args, **kwargs: _Rest.kwargs) -> None:
        with any_script([os.path.basename(inspected.slide), *inspected.classes]):
            draw(inspected, *args, **kwargs)

    return drawn
