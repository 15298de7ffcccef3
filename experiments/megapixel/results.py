"""The table and the figure of Megapixel MNIST, from the result files.

python -m experiments.megapixel.results [PNG]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from experiments.common import result_files
from experiments.common.result_files import RESULTS, Result
from experiments.common.table import markdown

REFERENCE = "attention-sampling 0.2"
GRADIENT = "gradient of 0.2"
METHODS = ("sequential", "priority", "replacement", GRADIENT, REFERENCE)
COLOURS = dict(zip(METHODS, ("#0072B2", "#009E73", "#E69F00", "#CC79A7", "#000000"), strict=True))  # Okabe and Ito's
HALF = 0.5
HEAD = (
    "method",
    "epochs to 50 % error, by seed",
    "final error, mean (min to max)",
    "attention on digits",
)


def load(folder: Path = RESULTS) -> dict[str, list[Result]]:
    """The runs of each method that has some, by seed.

    Raises:
        FileNotFoundError: there is none.
    """
    found = result_files.load("megapixel/*-seed*.json", folder)
    found.sort(key=lambda run: run["configuration"]["seed"])
    by_method = {m: [run for run in found if run["configuration"]["method"] == m] for m in METHODS}
    return {method: of_method for method, of_method in by_method.items() if of_method}


def epochs_to(run: Result, error: float = HALF) -> float | None:
    """Epochs until the first test with no more than this error, a fraction of the test images; None: there was none."""
    return next((test["epoch"] for test in run["tests"] if test["test_error"] <= error), None)


def table(folder: Path = RESULTS) -> str:
    """A row for each method that was run; see `load`."""
    rows = []
    for method, found in load(folder).items():
        last = [run["tests"][-1] for run in found]
        errors, on_digits = ([test[name] for test in last] for name in ("test_error", "attention_on_digits"))
        reached = [epochs_to(run) for run in found]
        spread = f"{min(errors):.3f} to {max(errors):.3f}" if len(found) > 1 else "one seed"
        rows.append(
            [
                method,
                ", ".join("not reached" if epochs is None else f"{epochs:.1f}" for epochs in reached),
                f"{np.mean(errors):.3f} ({spread})",
                f"{np.mean(on_digits):.2f}",
            ]
        )
    return markdown(HEAD, rows)


def figure(path: Path, folder: Path = RESULTS) -> None:
    """Draws test error against epochs: a thin line for each seed, a thick one for their mean; see `load`."""
    from matplotlib.figure import Figure

    picture = Figure(figsize=(7, 4.2), layout="constrained")
    axes = picture.add_subplot()
    for method, found in load(folder).items():
        curves = [[(test["epoch"], test["test_error"]) for test in run["tests"]] for run in found]
        for curve in curves:
            axes.plot(*zip(*curve, strict=True), color=COLOURS[method], lw=0.7, alpha=0.45)
        mean = np.mean(curves, axis=0)
        axes.plot(mean[:, 0], mean[:, 1], color=COLOURS[method], lw=2.4, label=method)
    axes.axhline(HALF, color="0.6", lw=0.8, ls=":")
    axes.set(xlabel="epochs", ylabel="test error", ylim=(0, 1), xlim=(0, None))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower left")
    picture.savefig(path, dpi=150)


if __name__ == "__main__":
    print(table())
    if len(sys.argv) > 1:
        figure(Path(sys.argv[1]))
