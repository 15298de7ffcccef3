"""Tables of the ratios, from the result files of them and of the slides of three scales."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from experiments.common.result_files import RESULTS, load_one
from experiments.common.table import markdown
from experiments.three_scales.results import JOINT, SWEEP, runs_by_contestant, shown, smooth

SLACK = 0.02  # of accuracy


def time_to_accuracy(folder: Path = RESULTS) -> str:
    """Epochs to an accuracy and what they cost, per seed: the sweep's best, reached by the sweep and by the joint model.

    A validation accuracy is the mean of three epochs, as single ones are noisy. As the curves of the sweep are flat at their
    ends, a column has the factor where each training may end `SLACK` below.

    Raises:
        FileNotFoundError: something was not run.
    """
    found = runs_by_contestant(folder)
    steps = {name: value["median"] for name, value in load_one("ratios-training.json", folder)["seconds"].items()}
    single = {name: runs for name, runs in found.items() if name.startswith("single")}
    if JOINT not in found or SWEEP not in found:
        raise FileNotFoundError("no seed of joint sampling and of every single magnification")
    rows = []
    for seed in sorted(set(found[JOINT]).intersection(*single.values())):
        curves = {name: smooth(runs[seed]) for name, runs in single.items()}
        joint = smooth(found[JOINT][seed])
        best = max(curve.max() for curve in curves.values())
        epochs = [{name: epochs_to(c, c.max() - slack) for name, c in curves.items()} for slack in (0, SLACK)]
        of_joint = [epochs_to(joint, best - slack) for slack in (0, SLACK)]
        factors = [
            sum(n * steps[shown(name)] for name, n in of_sweep.items()) / (n_joint * steps["joint"])
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
    return markdown([*head, "sweep / joint, time", less, "joint's own best"], rows)


def epochs_to(curve: np.ndarray, accuracy: float) -> int:
    """The first epoch, counted from 1, that reaches it; one that comes after the last where none does."""
    reached = np.flatnonzero(curve >= accuracy - 1e-9)
    return int(reached[0]) + 1 if len(reached) else len(curve) + 1


def training_ratios(folder: Path = RESULTS) -> str:
    """Seconds for a step of 16 slides."""
    found = load_one("ratios-training.json", folder)
    rows = [
        [name, f"{found['seconds'][name]['median']:.2f}", f"{found['times_joint'][name]:.2f}"]
        for name in found["seconds"]
    ]
    rows.append(["a step at each single magnification", "", f"{found['sweep_times_joint']:.2f}"])
    return markdown([f"a training step of {found['slides']} slides", "seconds", "times joint"], rows)


def inference_ratios(folder: Path = RESULTS) -> str:
    """Seconds from a slide's file to its probabilities, by the slide's size."""
    rows = []
    for size in load_one("ratios-inference.json", folder)["sizes"]:
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
    return markdown(head, rows)
