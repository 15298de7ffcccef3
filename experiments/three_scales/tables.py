"""Tables of the slides of three scales, from the result files."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np

from data_prep.three_scale_slides.layout import KINDS
from experiments.common.result_files import RESULTS, Result
from experiments.common.seeds_and_slides import mean_interval
from experiments.common.table import markdown
from experiments.three_scales.results import (
    EVERY,
    FEATURES,
    JOINT,
    SWEEP,
    order,
    right,
    runs_by_contestant,
    shown,
)

LOSS = 0.4  # a constant guess has 0.69


def summary(folder: Path = RESULTS) -> str:
    """As `accuracy`, the most telling rows only."""
    return accuracy(folder, (JOINT, SWEEP, "uniform", EVERY, FEATURES, "overview", "colour"))


def accuracy(folder: Path = RESULTS, only: Collection[str] | None = None) -> str:
    """Accuracy, AUC and what was read, a row per contestant."""
    found = runs_by_contestant(folder)
    joint = found.get(JOINT, {}).values()
    all_read = float(np.mean([run["cells_per_slide"] for run in joint])) if joint else None
    rows = []
    for name in sorted(found if only is None else found.keys() & only, key=order):
        runs = found[name]
        seeds = sorted(runs)
        mean, low, high = mean_interval(right(runs, seeds))
        auc = [runs[s]["test"]["auc"] for s in seeds]
        patches = [runs[s].get("patches_per_slide") for s in seeds]
        read = f"{np.mean(patches):.0f}" if None not in patches else ""
        share = f"{100 * np.mean(patches) / all_read:.1f} %" if read and all_read else ""
        rows.append(
            [
                shown(name), str(len(seeds)), f"{mean:.3f} ({low:.3f} to {high:.3f})",
                f"{np.mean(auc):.3f} ({min(auc):.3f} to {max(auc):.3f})", read, share, _difference(found, name),
            ]
        )  # fmt: skip
    head = ["", "seeds", "test accuracy (95 %)", "AUC (min to max)", "patches per slide", "pixels, of all patches'"]
    return markdown([*head, "joint is better by (95 %)"], rows)


def by_kind(folder: Path = RESULTS) -> str:
    """Accuracy on the test slides of each kind, which come in turn: the mean of the seeds, and its range."""
    rows = []
    found = runs_by_contestant(folder)
    for name in sorted(found.keys() - {SWEEP}, key=order):
        hits = right(found[name], sorted(found[name]))
        of_seeds = [hits[:, k :: len(KINDS)].mean(axis=1) for k in range(len(KINDS))]
        cells = [f"{seeds.mean():.2f} ({seeds.min():.2f} to {seeds.max():.2f})" for seeds in of_seeds]
        rows.append([shown(name), *cells])
    return markdown(["test accuracy on slides of places that are", *KINDS], rows)


def _difference(found: dict[str, dict[int, Result]], name: str) -> str:
    """How much more accurate the joint model is, over seeds and slides of both."""
    seeds = sorted(set(found.get(JOINT, {})) & set(found[name]))
    if name == JOINT or not seeds:
        return ""
    return "{:+.3f} ({:+.3f} to {:+.3f})".format(*mean_interval(right(found[JOINT], seeds) - right(found[name], seeds)))


def places(folder: Path = RESULTS) -> str:
    """Where the attention lies, by kind of place: on it, and of that at the right magnification; the seeds in turn."""
    rows = []
    found = runs_by_contestant(folder)
    for name in sorted(found, key=order):
        runs = [found[name][seed] for seed in sorted(found[name])]
        if name == SWEEP or "places" not in runs[0] or "share_on_its_magnification" not in runs[0]["places"]["fine"]:
            continue
        row = [name]
        for kind in KINDS:
            on = ", ".join(f"{run['places'][kind]['attention']:.2f}" for run in runs)
            share = ", ".join(f"{run['places'][kind]['share_on_its_magnification']:.2f}" for run in runs)
            row += [on, share]
        rows.append(row)
    head = [word for kind in KINDS for word in (f"on {kind} places", "of it at their magnification")]
    return markdown(["", *head], rows)


def exhaustive(folder: Path = RESULTS) -> str:
    """How the sampled prediction agrees with the expectation over every cell."""
    rows = []
    found = runs_by_contestant(folder)
    for name in sorted(found, key=order):
        runs = [found[name][seed] for seed in sorted(found[name])]
        if name != SWEEP and "exhaustive" in runs[0]:
            values = [
                ", ".join(f"{run['exhaustive'][key]:.3f}" for run in runs)
                for key in ("accuracy", "same_class", "mean_difference")
            ]
            rows.append([shown(name), *values])
    head = ["", "accuracy over every cell", "same class as sampled", "mean difference of the probabilities"]
    return markdown(head, rows)


def cost(folder: Path = RESULTS) -> str:
    """What training took: processor time, memory, and epochs to a validation loss, by seed."""
    rows = []
    found = runs_by_contestant(folder)
    for name in sorted(found, key=order):
        runs = [found[name][seed] for seed in sorted(found[name])]
        if name == SWEEP or "history" not in runs[0]:
            continue
        seconds = []
        for run in runs:
            slides = run.get("slides_per_epoch", run["configuration"]["slides"]["train"])
            seconds.append(run["history"][-1]["processor_seconds"] / run["history"][-1]["epoch"] / slides)
        reached = [
            next((str(row["epoch"]) for row in run["history"] if row["validation_loss"] <= LOSS), "not reached")
            for run in runs
        ]
        peak = max(run["peak_mib"] for run in runs)
        row = [shown(name), f"{1e3 * np.mean(seconds):.0f}", f"{peak / 1024:.1f}"]
        rows.append([*row, ", ".join(reached)])
    head = ["", "processor ms per training slide", "peak memory, GiB", f"epochs to a validation loss of {LOSS}"]
    return markdown(head, rows)
