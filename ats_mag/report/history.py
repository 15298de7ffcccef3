"""The course of a training as one figure."""

from __future__ import annotations

import io

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ats_mag.pictures.colours import magnification_colour

_MASS = "mass_"
_HIDDEN = ("epoch", "unreadable", "learning_rate", "attention_entropy", "cache_hits", "cache_saved")
_TRAINING, _VALIDATION = "#5d666e", "#c2410c"


def draw_history(history: pd.DataFrame) -> bytes:
    """Draws loss and metrics of training and validation, and the attention at each magnification, by epoch.

    Args:
        history: as `history.csv` holds it.

    Returns:
        An SVG, the same bytes for the same data.
    """
    names = [name for name in history.columns if not name.startswith(("val_", _MASS)) and name not in _HIDDEN]
    masses = [name for name in history.columns if name.startswith(_MASS)]
    figure = Figure(figsize=(3.2 * (len(names) + bool(masses)), 2.7), layout="constrained")
    axes = figure.subplots(1, len(names) + bool(masses), squeeze=False)[0]
    epochs = history["epoch"] + 1
    for part, name in zip(axes, names, strict=False):
        part.set_title(name.replace("_", " "), fontsize=10)
        _line(part, epochs, history[name], _TRAINING, "training")
        if f"val_{name}" in history:
            _line(part, epochs, history[f"val_{name}"], _VALIDATION, "validation")
        part.legend(fontsize=8, frameon=False)
    for m, name in enumerate(masses):
        axes[-1].set_title("share of attention", fontsize=10)
        _line(axes[-1], epochs, history[name], magnification_colour(m), f"{name.removeprefix(_MASS)} um/px")
        axes[-1].set_ylim(-0.02, 1.02)
        axes[-1].legend(fontsize=8, frameon=False)
    for part in axes:
        part.set_xlabel("epoch", fontsize=9)
        part.tick_params(labelsize=8)
        part.xaxis.get_major_locator().set_params(integer=True)
        part.spines[["top", "right"]].set_visible(False)
    drawn = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "ats_mag"}):
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    return drawn.getvalue()


def _line(part: Axes, epochs: pd.Series, values: pd.Series, colour: str, label: str) -> None:
    part.plot(epochs, values, color=colour, linewidth=1.4, marker="." if len(epochs) < 3 else "", label=label)
