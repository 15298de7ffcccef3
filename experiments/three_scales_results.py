"""Tables and figures of `three_scales.py` and `ratios.py`, from their result files."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from markdown_table import table
from result_files import RESULTS, load

from ats_mag.evaluation.bootstrap import interval

JOINT = "joint, priority"  # the library's own recipe here, see docs/results.md
EVERY = "all patches, every magnification"
FEATURES = "all patches, features of joint"
SWEEP = "best single magnification (by validation)"
KINDS = ("fine", "middle", "coarse")
RESAMPLES = 4000
LOSS = 0.4  # a constant guess has 0.69
SLACK = 0.02  # of accuracy

Run = dict[str, Any]


def runs_by_contestant(folder: Path = RESULTS) -> dict[str, dict[int, Run]]:
    """The runs by contestant and seed, and under `SWEEP`, per seed at which every single magnification was run, the one
    whose validation accuracy was highest at the end.

    Raises:
        FileNotFoundError: there is none.
    """
    found: dict[str, dict[int, Run]] = {}
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


def right(runs: dict[int, Run], seeds: list[int]) -> np.ndarray:
    """Whether each test slide was classified rightly, `(seeds, slides)`."""
    return np.array(
        [np.argmax(runs[s]["test_probabilities"], axis=1) == np.array(runs[s]["test_labels"]) for s in seeds], float
    )


def mean_interval(values: np.ndarray) -> tuple[float, float, float]:
    """The mean of `(seeds, slides)` and its 95 % interval: a bootstrap that draws seeds and slides anew."""
    rng = np.random.default_rng(0)
    n_seeds, n_slides = values.shape
    drawn = [
        values[rng.integers(n_seeds, size=n_seeds)][:, rng.integers(n_slides, size=n_slides)].mean()
        for _ in range(RESAMPLES)
    ]
    low, high, _ = interval(np.array(drawn), 0.95)
    return float(values.mean()), float(low), float(high)


def summary(folder: Path = RESULTS) -> str:
    """As `contest`, the most telling rows only."""
    return contest(folder, (JOINT, SWEEP, "uniform", EVERY, FEATURES, "overview", "colour"))


def contest(folder: Path = RESULTS, only: Collection[str] | None = None) -> str:
    """Accuracy, AUC and what was read, a row per contestant."""
    found = runs_by_contestant(folder)
    joint = found.get(JOINT, {}).values()
    all_read = float(np.mean([run["cells_per_slide"] for run in joint])) if joint else None
    rows = []
    for name in sorted(found if only is None else found.keys() & only, key=_order):
        runs = found[name]
        seeds = sorted(runs)
        accuracy, low, high = mean_interval(right(runs, seeds))
        auc = [runs[s]["test"]["auc"] for s in seeds]
        patches = [runs[s].get("patches_per_slide") for s in seeds]
        read = f"{np.mean(patches):.0f}" if None not in patches else ""
        share = f"{100 * np.mean(patches) / all_read:.1f} %" if read and all_read else ""
        rows.append(
            [
                _shown(name), str(len(seeds)), f"{accuracy:.3f} ({low:.3f} to {high:.3f})",
                f"{np.mean(auc):.3f} ({min(auc):.3f} to {max(auc):.3f})", read, share, _difference(found, name),
            ]
        )  # fmt: skip
    head = ["", "seeds", "test accuracy (95 %)", "AUC (min to max)", "patches per slide", "pixels, of all patches'"]
    return table([*head, "joint is better by (95 %)"], rows)


def by_kind(folder: Path = RESULTS) -> str:
    """Accuracy on the test slides of each kind, which come in turn: the mean of the seeds, and its range."""
    rows = []
    found = runs_by_contestant(folder)
    for name in sorted(found.keys() - {SWEEP}, key=_order):
        hits = right(found[name], sorted(found[name]))
        of_seeds = [hits[:, k :: len(KINDS)].mean(axis=1) for k in range(len(KINDS))]
        cells = [f"{seeds.mean():.2f} ({seeds.min():.2f} to {seeds.max():.2f})" for seeds in of_seeds]
        rows.append([_shown(name), *cells])
    return table(["test accuracy on slides of places that are", *KINDS], rows)


def _shown(name: str) -> str:
    """A contestant's name as tables and `ratios.py` have it; in file names there is no slash."""
    return name.replace("um-px", "um/px")


def _order(name: str) -> tuple[int, str]:
    firsts = ("joint, priority", "joint", SWEEP, "single", "uniform", EVERY, "all", "overview", "colour")
    return next(i for i, first in enumerate(firsts) if name.startswith(first)), name


def _difference(found: dict[str, dict[int, Run]], name: str) -> str:
    """How much more accurate the joint model is, over seeds and slides of both."""
    seeds = sorted(set(found.get(JOINT, {})) & set(found[name]))
    if name == JOINT or not seeds:
        return ""
    return "{:+.3f} ({:+.3f} to {:+.3f})".format(*mean_interval(right(found[JOINT], seeds) - right(found[name], seeds)))


def places(folder: Path = RESULTS) -> str:
    """Where the attention lies, by kind of place: on it, and of that at the right magnification; the seeds in turn."""
    rows = []
    found = runs_by_contestant(folder)
    for name in sorted(found, key=_order):
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
    return table(["", *head], rows)


def exhaustive(folder: Path = RESULTS) -> str:
    """How the sampled prediction agrees with the expectation over every cell."""
    rows = []
    found = runs_by_contestant(folder)
    for name in sorted(found, key=_order):
        runs = [found[name][seed] for seed in sorted(found[name])]
        if name != SWEEP and "exhaustive" in runs[0]:
            values = [
                ", ".join(f"{run['exhaustive'][key]:.3f}" for run in runs)
                for key in ("accuracy", "same_class", "mean_difference")
            ]
            rows.append([_shown(name), *values])
    head = ["", "accuracy over every cell", "same class as sampled", "mean difference of the probabilities"]
    return table(head, rows)


def cost(folder: Path = RESULTS) -> str:
    """What training took: processor time, memory, and epochs to a validation loss, by seed."""
    rows = []
    found = runs_by_contestant(folder)
    for name in sorted(found, key=_order):
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
        row = [_shown(name), f"{1e3 * np.mean(seconds):.0f}", f"{peak / 1024:.1f}"]
        rows.append([*row, ", ".join(reached)])
    head = ["", "processor ms per training slide", "peak memory, GiB", f"epochs to a validation loss of {LOSS}"]
    return table(head, rows)


def time_to_accuracy(folder: Path = RESULTS) -> str:
    """Epochs to an accuracy and what they cost, per seed: the sweep's best, reached by the sweep and by the joint model.

    A validation accuracy is the mean of three epochs, as single ones are noisy. As the curves of the sweep are flat at their
    ends, a column has the factor where each training may end `SLACK` below.

    Raises:
        FileNotFoundError: something was not run.
    """
    found = runs_by_contestant(folder)
    steps = {name: value["median"] for name, value in _training(folder)["seconds"].items()}
    single = {name: runs for name, runs in found.items() if name.startswith("single")}
    if JOINT not in found or SWEEP not in found:
        raise FileNotFoundError("no seed of joint sampling and of every single magnification")
    rows = []
    for seed in sorted(set(found[JOINT]).intersection(*single.values())):
        curves = {name: smooth(runs[seed]) for name, runs in single.items()}
        joint = smooth(found[JOINT][seed])
        best = max(curve.max() for curve in curves.values())
        epochs = [{name: _epochs_to(c, c.max() - slack) for name, c in curves.items()} for slack in (0, SLACK)]
        of_joint = [_epochs_to(joint, best - slack) for slack in (0, SLACK)]
        factors = [
            sum(n * steps[_shown(name)] for name, n in of_sweep.items()) / (n_joint * steps["joint"])
            for of_sweep, n_joint in zip(epochs, of_joint, strict=True)
        ]
        rows.append(
            [
                str(seed), f"{best:.3f}", ", ".join(map(str, epochs[0].values())), str(of_joint[0]),
                f"{factors[0]:.1f}", f"{factors[1]:.1f}", f"{joint.max():.3f}",
            ]
        )  # fmt: skip
    head = ["seed", "the sweep's best validation accuracy", "epochs of the sweep, by magnification", "epochs of joint"]
    less = f"... where {SLACK:g} less is enough"
    return table([*head, "sweep / joint, time", less, "joint's own best"], rows)


def smooth(run: Run) -> np.ndarray:
    """Validation accuracy at each epoch that was validated, the mean of those among the three epochs that end there."""
    epochs, accuracy = (np.array([row[key] for row in run["history"]]) for key in ("epoch", "validation_accuracy"))
    return np.array([accuracy[(epochs > last - 3) & (epochs <= last)].mean() for last in epochs])


def _epochs_to(curve: np.ndarray, accuracy: float) -> int:
    """The first epoch, counted from 1, that reaches it; one that comes after the last where none does."""
    reached = np.flatnonzero(curve >= accuracy - 1e-9)
    return int(reached[0]) + 1 if len(reached) else len(curve) + 1


def training_ratios(folder: Path = RESULTS) -> str:
    """Seconds for a step of 16 slides."""
    found = _training(folder)
    rows = [
        [name, f"{found['seconds'][name]['median']:.2f}", f"{found['times_joint'][name]:.2f}"]
        for name in found["seconds"]
    ]
    rows.append(["a step at each single magnification", "", f"{found['sweep_times_joint']:.2f}"])
    return table([f"a training step of {found['slides']} slides", "seconds", "times joint"], rows)


def _training(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "ratios-training.json").read_text())


def inference_ratios(folder: Path = RESULTS) -> str:
    """Seconds from a slide's file to its probabilities, by the slide's size."""
    rows = []
    for size in json.loads((folder / "ratios-inference.json").read_text())["sizes"]:
        seconds = size["seconds"]
        every = "all patches" in seconds
        rows.append(
            [
                f"{size['gigapixels']:.2f}", str(size["patches"]["all patches"]), f"{seconds['joint']['median']:.3f}",
                f"{seconds['all patches']['median']:.1f}" if every else "not measured",
                f"{size['all_patches_times_joint']:.0f}" if every else "",
            ]
        )  # fmt: skip
    head = ["gigapixels", "patches, all", "joint, seconds", "all patches, seconds", "all / joint"]
    return table(head, rows)
