"""The figures of docs/results.md, from the result files; one that was not measured is left as it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.common.processes import ROOT
from experiments.common.result_files import Result, load_one
from experiments.megapixel import results as megapixel
from experiments.three_scales.results import EVERY, FEATURES, JOINT, runs_by_contestant, smooth

FOLDER = ROOT / "docs" / "results"
# Okabe and Ito's colours, which the colour-blind can tell apart.
BLACK, BLUE, GREEN, ORANGE, PINK, SKY, VERMILION = (
    "#000000", "#0072B2", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#D55E00",
)  # fmt: skip


def curves(path: Path) -> None:
    """Validation accuracy of the slides of three scales against epochs: a thin line per seed, a thick one for their mean."""
    found = runs_by_contestant()
    left = {
        JOINT: (BLUE, "joint"), EVERY: (BLACK, "all patches, end to end"), FEATURES: (VERMILION, "all patches, features of joint"),
        "uniform": (GREEN, "uniform"), "overview": ("0.6", "overview"),
        "single, 0.5 um-px": (ORANGE, "single, 0.5 um/px"), "single, 2 um-px": (PINK, "single, 2 um/px"),
        "single, 8 um-px": (SKY, "single, 8 um/px"),
    }  # fmt: skip
    right = {
        JOINT: (BLUE, "priority"), "joint, sequential": (ORANGE, "sequential"),
        "joint, replacement": (GREEN, "replacement"), "joint, gradient of 0.2": (VERMILION, "gradient of 0.2"),
    }  # fmt: skip
    settings = next(iter(found[JOINT].values()))["configuration"]["settings"]
    ends = np.cumsum([settings["hold_epochs"], settings["attention_epochs"]])
    panels = {"what is looked at": left, "how joint attention is learnt": right}
    panels = {title: names for title, names in panels.items() if len(names.keys() & found) > 1}
    figure = Figure(figsize=(7.5 * len(panels) + 1, 4.2), layout="constrained")
    for axes, (title, names) in zip(
        figure.subplots(1, len(panels), sharey=True, squeeze=False)[0], panels.items(), strict=True
    ):
        for name, (colour, words) in names.items():
            if name in found:
                _lines(axes, list(found[name].values()), colour, words)
        for end in ends:
            axes.axvline(end, color="0.6", lw=0.8, ls=":")
        axes.set(xlabel="epochs", title=title, ylim=(0.4, 1.02))
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    figure.axes[0].set_ylabel("validation accuracy, mean of three epochs")
    figure.savefig(path, dpi=120)


def _lines(axes: Axes, runs: list[Result], colour: str, label: str) -> None:
    epochs, lines = [row["epoch"] for row in runs[0]["history"]], [smooth(run) for run in runs]
    for line in lines:
        axes.plot(epochs, line, color=colour, lw=0.7, alpha=0.45)
    seeds = f"{len(lines)} seed{'s' * (len(lines) > 1)}"
    axes.plot(epochs, np.mean(lines, axis=0), color=colour, lw=2.2, label=f"{label} ({seeds})")


def variance(path: Path) -> None:
    """Relative variance and bias of the attention's gradient against N, medians over slides with their range."""
    rows = load_one("gradient-variance.json")["rows"]
    colours = {"attention-sampling 0.2": VERMILION, "sequential": ORANGE, "replacement": GREEN, "priority": BLUE}
    figure = Figure(figsize=(11, 7), layout="constrained")
    panels = figure.subplots(2, 2, sharex=True, sharey="row")
    measures = (("relative_variance", "relative variance"), ("relative_bias", "relative bias"))
    for j, model in enumerate(("untrained", "trained")):
        for i, (key, words) in enumerate(measures):
            axes = panels[i, j]
            for method, colour in colours.items():
                here = [row for row in rows if row["model"] == model and row["method"] == method]
                ns = sorted({row["n"] for row in here})
                values = np.array([[row[key] for row in here if row["n"] == n] for n in ns])
                axes.plot(ns, np.median(values, axis=1), color=colour, lw=2, marker="o", ms=4, label=method)
                axes.fill_between(ns, values.min(1), values.max(1), color=colour, alpha=0.12, lw=0)
            axes.set(xscale="log", yscale="log")
            axes.set_xticks(ns, [str(n) for n in ns])
            axes.minorticks_off()
            axes.grid(alpha=0.3)
            if not j:
                axes.set_ylabel(words)
            if not i:
                axes.set_title(f"{model} attention")
            else:
                axes.set_xlabel("N, patches drawn")
    panels[0, 1].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)


def area(path: Path) -> None:
    """Seconds of inference against the slide's area, and their ratio."""
    sizes = load_one("ratios-inference.json")["sizes"]
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, colour in (("joint", BLUE), ("all patches", BLACK)):
        here = [size for size in sizes if name in size["seconds"]]
        left.plot(
            [s["gigapixels"] for s in here],
            [s["seconds"][name]["median"] for s in here],
            "o-",
            color=colour,
            label=name,
        )
    here = [size for size in sizes if "all_patches_times_joint" in size]
    right.plot([s["gigapixels"] for s in here], [s["all_patches_times_joint"] for s in here], "o-", color=VERMILION)
    left.set(yscale="log", ylabel="seconds per slide, file to label")
    left.yaxis.set_major_formatter("{x:g}")
    left.legend(frameon=False)
    right.set(ylabel="all patches / joint, time", ylim=(0, None))
    for axes in (left, right):
        axes.set(xscale="log", xlabel="gigapixels")
        axes.set_xticks([s["gigapixels"] for s in sizes], [f"{s['gigapixels']:.2g}" for s in sizes])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


FIGURES: dict[str, Callable[[Path], None]] = {
    "three-scales-curves": curves,
    "gradient-variance": variance,
    "inference-area": area,
    "megapixel-curves": megapixel.figure,
}


def draw() -> None:
    """Draws all that was measured."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, make in FIGURES.items():
        try:
            make(FOLDER / f"{name}.png")
        except FileNotFoundError:
            continue
