"""The tables of `glas.py`, `bach.py` and `tcga_prad.py`, from their result files.

python experiments/cohort_results.py glas
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from markdown_table import table as markdown
from result_files import RESULTS, load

JOINT, SINGLE, COLOUR = "joint", "single", "colour"
SWEEP = "best single magnification by validation"
WORDS = {JOINT: "joint attention sampling", COLOUR: "colour histograms"}
UNITS = {"glas": "fields", "bach": "fields", "tcga-prad": "slides"}
SHOWN = {"accuracy": "accuracy", "auroc": "AUC"}
NO_CHOICE = "The division has no validation part, so that the best single magnification cannot be chosen without looking at the test."

Run = dict[str, Any]


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
    from ats_mag.evaluation.folds import t_interval

    mean, low, high = t_interval(np.array(values, float), 0.95)
    return {"value": mean, "low": low, "high": high}


def table(cohort: str, folder: Path | None = None) -> str:
    """A row per contestant: how many seeds, accuracy and AUC, the colour baseline last.

    With the 95 % interval (bootstrap over patients; over the folds, where there are several); of several seeds, the means of
    the measure and of the ends of its interval, and the least and greatest measure.

    Args:
        cohort: `glas`, `bach` or `tcga-prad`.
        folder: of its results; None: where its script writes them.

    Raises:
        FileNotFoundError: nothing was run.
    """
    found = runs_by_contestant(folder or RESULTS / cohort)
    choice = sweep(found)
    single = [name for name in found if name.startswith(SINGLE)]
    single.sort(key=lambda name: next(iter(found[name].values()))["configuration"]["model"]["magnifications"])
    rows = []
    for name in (JOINT, SWEEP, *single, COLOUR):
        by_seed = choice if name == SWEEP else found.get(name, {})
        if by_seed:
            runs = [by_seed[seed] for seed in sorted(by_seed)]
            words = f"{SWEEP} ({_chosen(runs)})" if name == SWEEP else WORDS.get(name, name)
            rows.append([words, str(len(runs)), *(_cell(runs, measure) for measure in SHOWN)])
    first = next(iter(next(iter(found.values())).values()))
    what = f"{first['slides']['count']} test {UNITS.get(cohort, 'slides')}"
    if first["folds"] > 1:
        what += f", {first['folds']} folds"
    lines = markdown([what, "seeds", *SHOWN.values()], rows)
    blind = any(not run["validation"] for name in single for run in found[name].values())
    return f"{lines}\n\n{NO_CHOICE}" if blind else lines


def _chosen(runs: list[Run]) -> str:
    counts = Counter(name.removeprefix(f"{SINGLE}, ") for run in runs for name in run["chosen"])
    return ", ".join(f"{name}: {count} of {counts.total()}" for name, count in counts.most_common())


def _cell(runs: list[Run], name: str) -> str:
    measures = [run["slides"]["measures"][name] for run in runs]
    values = [measure["value"] for measure in measures]
    if any(value is None or np.isnan(value) for value in values):
        return "undefined"
    ends = [(measure["low"], measure["high"]) for measure in measures]
    words = []
    if not any(low is None or np.isnan(low) for low, _ in ends):
        words.append("95 %: {:.3f} to {:.3f}".format(*np.mean(ends, axis=0)))
    if len(set(values)) > 1:
        words.append(f"seeds: {min(values):.3f} to {max(values):.3f}")
    return f"{np.mean(values):.3f} ({'; '.join(words)})" if words else f"{values[0]:.3f}"


if __name__ == "__main__":
    print(table(*sys.argv[1:2]))
