"""The table of an experiment on a cohort, from its result files.

python -m experiments.cohort_runs.table glas
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import numpy as np

from experiments.cohort_runs.results import (
    ALL,
    COLOUR,
    JOINT,
    LIGHT,
    SHOWN,
    SINGLE,
    UNIFORM,
    Run,
    runs_by_contestant,
    sweep,
)
from experiments.common.result_files import RESULTS
from experiments.common.table import markdown

SWEEP = "best single magnification by validation"
WORDS = {
    JOINT: "joint attention sampling",
    UNIFORM: "uniform, as many patches",
    ALL: "all patches, same encoder, gated attention",
    LIGHT: "25 fields chosen by a light network, same encoder, averaged",
    COLOUR: "colour histograms",
}
UNITS = {"glas": "fields", "bach": "fields", "tcga-prad": "slides"}
NO_CHOICE = "The division has no validation part, so that the best single magnification cannot be chosen without looking at the test."


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
    for name in (JOINT, SWEEP, *single, UNIFORM, ALL, LIGHT, COLOUR):
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
