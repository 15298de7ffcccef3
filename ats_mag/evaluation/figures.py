"""ROC, precision-recall, reliability and confusion as SVG: slides on the left, patients on the right."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from ats_mag.evaluation.scored_table import Scored
from ats_mag.runs.layout import ResultFiles
from ats_mag.system.atomic_files import whole_file
from ats_mag.system.figure_fonts import any_script

_GREY = "0.6"
_BAR = "#9ecae1"


def draw_figures(files: ResultFiles, scored: dict[str, Scored], found: dict[str, Any]) -> None:
    """Writes `roc.svg`, `precision_recall.svg`, `reliability.svg` and `confusion.svg`: the same bytes for the same data.

    Args:
        files: to write.
        scored: of `slides` and `patients`.
        found: of the same, what `measure_level` gives, and `confidence` of the intervals.
    """
    share = f"{100 * found['confidence']:g} % interval"

    def panels(name: str, draw: Callable[[SubFigure, Scored, dict[str, Any], str], None], height: float) -> None:
        names = [text for level in scored.values() for text in (level.name, *level.classes)]
        with matplotlib.rc_context({"svg.hashsalt": "ats_mag"}), any_script(names, svg=True):
            panel(name, draw, height)

    def panel(name: str, draw: Callable[[SubFigure, Scored, dict[str, Any], str], None], height: float) -> None:
        rows = max(len(level.classes) for level in scored.values()) if name != "reliability" else 0
        figure = Figure(figsize=(4.6 * len(scored), height + 0.17 * rows), layout="constrained")
        for part, level in zip(figure.subfigures(1, len(scored), squeeze=False)[0], scored, strict=True):
            part.suptitle(_plain(f"{scored[level].name} (n = {len(scored[level])})"), fontsize=10)
            draw(part, scored[level], found[level], share)
        with whole_file(files.figure(name)) as unfinished:
            figure.savefig(unfinished, format="svg", metadata={"Date": None})

    panels("roc", _draw_roc, 4.9)
    panels("precision_recall", _draw_precision_recall, 4.9)
    panels("reliability", _draw_reliability, 5.6)
    panels("confusion", _draw_confusion, 3.9)


def _draw_roc(part: SubFigure, scored: Scored, found: dict[str, Any], share: str) -> None:
    from sklearn.metrics import roc_curve

    axes = _square(part.subplots(), "false positive rate (1 − specificity)", "true positive rate (sensitivity)")
    axes.plot([0, 1], [0, 1], color=_GREY, linestyle="--", linewidth=1, label="chance")
    # The curves of two exclusive classes are each other's mirror image.
    shown = [1] if scored.exclusive and len(scored.classes) == 2 else range(len(scored.classes))
    for c in shown:
        measure = found["measures"][f"auroc_{scored.classes[c]}"]
        x, y = [np.nan], [np.nan]
        if not math.isnan(measure["value"]):
            x, y, _ = roc_curve(scored.truth[:, c].astype(int), scored.probabilities[:, c])
        axes.plot(x, y, color=_colour(c), label=_label(scored.classes[c], measure))
    _legend(axes, f"class: area under the curve ({share})")


def _draw_precision_recall(part: SubFigure, scored: Scored, found: dict[str, Any], share: str) -> None:
    from sklearn.metrics import precision_recall_curve

    axes = _square(part.subplots(), "recall (sensitivity)", "precision (positive predictive value)")
    for c, name in enumerate(scored.classes):
        measure = found["measures"][f"auprc_{name}"]
        x, y = np.array([np.nan]), np.array([np.nan])
        if not math.isnan(measure["value"]):
            y, x, _ = precision_recall_curve(scored.truth[:, c].astype(int), scored.probabilities[:, c])
            chance = scored.truth[:, c].mean()
            axes.plot([0, 1], [chance, chance], color=_colour(c), linestyle="--", linewidth=1)
        axes.plot(x, y, color=_colour(c), drawstyle="steps-post", label=_label(name, measure))
    axes.plot([], [], color=_GREY, linestyle="--", linewidth=1, label="chance: share of the class")
    _legend(axes, f"class: average precision ({share})")


def _draw_reliability(part: SubFigure, scored: Scored, found: dict[str, Any], share: str) -> None:
    axes, counts = part.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    what = "confidence: probability of the predicted class" if scored.exclusive else "probability of a class"
    axes.plot([0, 1], [0, 1], color=_GREY, linestyle="--", linewidth=1, label="perfect calibration")
    bins = [b for b in found["reliability"] if b["count"]]
    x, y = [b["confidence"] for b in bins], [b["right"] for b in bins]
    known = [b for b in bins if not math.isnan(b["low"])]
    axes.vlines([b["confidence"] for b in known], [b["low"] for b in known], [b["high"] for b in known], _colour(0))
    label = _label("ECE", found["measures"]["ece"], digits=3)
    axes.plot(x, y, color=_colour(0), marker="o", markersize=4, label=label)
    axes.set(xlim=(0, 1), ylim=(-0.02, 1.02))
    axes.set_ylabel("share that is right" if scored.exclusive else "share that has the class")
    _legend(axes, f"bars: {share}", above=True)
    width = [b["to"] - b["from"] for b in found["reliability"]]
    bars = [b["count"] for b in found["reliability"]]
    counts.bar([b["from"] for b in found["reliability"]], bars, width, align="edge", color=_BAR, edgecolor="white")
    counts.set(xlabel=what, ylabel="predictions")
    counts.set_ylim(0, max(*bars, 1) * 1.05)
    counts.yaxis.get_major_locator().set_params(integer=True)


def _draw_confusion(part: SubFigure, scored: Scored, found: dict[str, Any], share: str) -> None:
    counts = np.array(found["confusion"]["counts"])
    shares = np.array(found["confusion"]["share"])
    columns = list(scored.classes)
    if not scored.exclusive:  # a row per class, of its 2 x 2 matrix
        counts, shares = counts.reshape(len(counts), 4), shares.reshape(len(shares), 4)
        columns = ["true negative", "false positive", "false negative", "true positive"]
    axes = part.subplots()
    shown = axes.imshow(np.nan_to_num(shares), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row, column in np.ndindex(*counts.shape):
        value = shares[row, column]
        text = f"{counts[row, column]}" + ("" if math.isnan(value) else f"\n{100 * value:.0f} %")
        axes.text(column, row, text, ha="center", va="center", fontsize=8, color="white" if value > 0.6 else "black")
    tilt: dict[str, Any] = {"rotation": 30, "ha": "right"} if len("".join(columns)) > 30 else {}
    axes.set_xticks(range(len(columns)), [_plain(name) for name in columns], fontsize=8, **tilt)
    axes.set_yticks(range(len(scored.classes)), [_plain(name) for name in scored.classes], fontsize=8)
    axes.set(
        xlabel="predicted class" if scored.exclusive else "decision",
        ylabel="true class" if scored.exclusive else "class",
    )
    bar = part.colorbar(shown, ax=axes, shrink=0.8)
    bar.set_label("share of the true class" if scored.exclusive else "share of those with, or without, the class")


def _square(axes: Axes, x: str, y: str) -> Axes:
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xlabel=x, ylabel=y, aspect="equal")
    return axes


def _legend(axes: Axes, title: str, above: bool = False) -> None:
    """Beside the axes, so that it covers nothing."""
    options: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.14)}
    if above:
        options = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0)}
    axes.legend(fontsize=8, title=title, title_fontsize=8, frameon=False, **options)


def _label(name: str, measure: dict[str, Any], digits: int = 2) -> str:
    numbers = [measure[key] for key in ("value", "low", "high")]
    value, low, high = (f"{number:.{digits}f}" for number in numbers)
    text = "undefined" if math.isnan(numbers[0]) else value
    if not math.isnan(numbers[1]):
        text += f" ({low} to {high})"
    return f" {_plain(name)}: {text}"  # matplotlib leaves out labels that begin with an underscore


def _plain(text: str) -> str:
    """Not to be read as a formula."""
    return text.replace("$", r"\$")


def _colour(c: int) -> tuple[float, float, float, float]:
    return matplotlib.colormaps["tab10"](c % 10)
