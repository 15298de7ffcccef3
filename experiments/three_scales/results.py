"""The result files of the slides of three scales, and what is computed from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from data_prep.three_scale_slides.layout import KINDS
from experiments.common.result_files import RESULTS, Result, load

JOINT = "joint, priority"  # the library's own recipe here, see docs/results.md
EVERY = "all patches, every magnification"
FEATURES = "all patches, features of joint"
SWEEP = "best single magnification (by validation)"


def runs_by_contestant(folder: Path = RESULTS) -> dict[str, dict[int, Result]]:
    """The runs by contestant and seed, and under `SWEEP`, per seed at which every single magnification was run, the one
    whose validation accuracy was highest at the end.

    Raises:
        FileNotFoundError: there is none.
    """
    found: dict[str, dict[int, Result]] = {}
    for run in load("three-scales/*-seed*.json", folder):
        configuration = run["configuration"]
        found.setdefault(configuration["contestant"], {})[configuration["settings"]["seed"]] = run
    single = [runs for name, runs in found.items() if name.startswith("single")]
    seeds = set.intersection(*(set(runs) for runs in single)) if len(single) == len(KINDS) else set()
    if seeds:
        found[SWEEP] = {
            seed: max((runs[seed] for runs in single), key=lambda run: smooth(run)[-1]) for seed in sorted(seeds)
        }
    return found


def right(runs: dict[int, Result], seeds: list[int]) -> np.ndarray:
    """Whether each test slide was classified rightly, `(seeds, slides)`."""
    return np.array(
        [np.argmax(runs[s]["test_probabilities"], axis=1) == np.array(runs[s]["test_labels"]) for s in seeds], float
    )


def smooth(run: Result) -> np.ndarray:
    """Validation accuracy at each epoch that was validated, the mean of those among the three epochs that end there."""
    epochs, accuracy = (np.array([row[key] for row in run["history"]]) for key in ("epoch", "validation_accuracy"))
    return np.array([accuracy[(epochs > last - 3) & (epochs <= last)].mean() for last in epochs])


def shown(name: str) -> str:
    """A contestant's name as tables and the result files of the ratios have it; in file names there is no slash."""
    return name.replace("um-px", "um/px")


def order(name: str) -> tuple[int, str]:
    """Where a contestant stands in a table."""
    firsts = ("joint, priority", "joint", SWEEP, "single", "uniform", EVERY, "all", "overview", "colour")
    return next(i for i, first in enumerate(firsts) if name.startswith(first)), name
