"""The result files of the runs on a cohort, and what a sweep over the magnifications would choose of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from experiments.common.result_files import load

JOINT, SINGLE, UNIFORM, ALL, COLOUR = "joint", "single", "uniform", "all patches", "colour"
LIGHT = "light selection"
LIGHT_FOLDER = "light-selection"  # of the measures of `LIGHT`, in the run's folder
ALL_FOLDER = "all-patches"  # of the measures of `ALL`, in the run's folder
SHOWN = {"accuracy": "accuracy", "auroc": "AUC"}

Run = dict[str, Any]  # what is measured of a run, and its configuration


def runs_by_contestant(folder: Path) -> dict[str, dict[int, Run]]:
    """The runs by contestant and seed.

    Raises:
        FileNotFoundError: there is none.
    """
    found: dict[str, dict[int, Run]] = {}
    for run in load("*-seed*.json", folder):
        found.setdefault(run["configuration"]["contestant"], {})[run["configuration"]["seed"]] = run
    return found


def sweep(found: dict[str, dict[int, Run]]) -> dict[int, Run]:
    """What a sweep over the magnifications would choose, by seed: in each fold that of the best validation accuracy, and of
    equal ones that of the least validation cross-entropy.

    There is none for seeds at which a magnification was not run, or without a validation part. Each has `folds`, `slides` as
    a run, and `chosen`, the contestant per fold.
    """
    single = {name: of for name, of in found.items() if name.startswith(SINGLE)}
    chosen = {}
    for seed in sorted(set().union(*single.values())):
        runs = {name: of[seed] for name, of in single.items() if seed in of}
        asked = max(len(run["cohort_magnifications"]) for run in runs.values())
        if len(runs) == asked and all(run["validation"] for run in runs.values()):
            chosen[seed] = _choose(runs)
    return chosen


def _choose(runs: dict[str, Run]) -> Run:
    folds = next(iter(runs.values()))["folds"]

    def merit(name: str, fold: int) -> tuple[float, float]:
        of_fold = runs[name]["validation"][fold]
        return of_fold["accuracy"], -of_fold["cross_entropy"]

    names = [max(runs, key=lambda name, fold=fold: merit(name, fold)) for fold in range(folds)]
    if folds == 1:
        return runs[names[0]] | {"chosen": names}
    slides = {
        name: _mean([runs[of]["slides"]["measures"][name]["values"][k] for k, of in enumerate(names)]) for name in SHOWN
    }
    return {"folds": folds, "slides": {"count": runs[names[0]]["slides"]["count"], "measures": slides}, "chosen": names}


def _mean(values: list[float | None]) -> dict[str, float]:
    """Mean of the folds and its t interval."""
    from ats_mag.evaluation.folds import t_interval  # loads TensorFlow, which the table of one fold does not need

    mean, low, high = t_interval(np.array(values, float), 0.95)
    return {"value": mean, "low": low, "high": high}
