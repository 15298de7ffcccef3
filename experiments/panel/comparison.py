"""Joint sampling beside what one would do without it, on the panel's cohorts: accuracy, patches, and what each costs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments.cohort_runs.results import ALL, JOINT, LIGHT, SINGLE, Run, runs_by_contestant, sweep
from experiments.common.seeds_and_slides import mean_interval
from experiments.common.table import markdown
from experiments.panel.cohorts import COHORTS
from experiments.panel.table import OUT

SWEEP = "sweep"
WORDS = {
    JOINT: "joint",
    SWEEP: "best single magnification, by validation",
    ALL: "all patches, gated attention",
    LIGHT: "25 fields of a light selection, averaged",
}
Runs = Mapping[int, Run]


def comparison(folder: Path = OUT) -> str:
    """A row per cohort and contestant, on the seeds that the contestant has in common with joint sampling.

    Raises:
        FileNotFoundError: nothing was run beside joint sampling.
    """
    rows = []
    for cohort in COHORTS:
        if not (folder / cohort).exists():
            continue
        found: dict[str, Runs] = dict(runs_by_contestant(folder / cohort))
        found[SWEEP] = sweep({name: dict(runs) for name, runs in found.items()}) if _has_single(found) else {}
        compared = [name for name in WORDS if found.get(name) and (name == JOINT or _shared(found, name))]
        if len(compared) > 1:
            rows += [
                [cohort if name == JOINT else "", *_row(found, name, _inference(folder, cohort))] for name in compared
            ]
    if not rows:
        raise FileNotFoundError(f"nothing was run beside joint sampling into {str(folder)!r}")
    head = ["", "", "seeds", "accuracy", "joint is better by (95 %)", "patches a slide"]
    return markdown([*head, "training, processor s", "a test slide, processor s"], rows)


def _row(found: Mapping[str, Runs], name: str, inference: Mapping[str, float]) -> list[str]:
    seeds = sorted(found[name]) if name == JOINT else _shared(found, name)
    runs = [found[name][seed] for seed in seeds]
    accuracy = np.mean([run["slides"]["measures"]["accuracy"]["value"] for run in runs])
    better = ""
    if name != JOINT:
        better = "{:+.3f} ({:+.3f} to {:+.3f})".format(
            *mean_interval(_right(found[JOINT], seeds) - _right(found[name], seeds))
        )
    seconds = [_training(found, name, seed) for seed in seeds]
    return [
        WORDS[name],
        str(len(seeds)),
        f"{accuracy:.3f}",
        better,
        _patches(runs[0]),
        f"{np.mean(seconds):.0f}" if all(seconds) else "",
        f"{inference[name]:.2g}" if name in inference else "",
    ]


def _training(found: Mapping[str, Runs], name: str, seed: int) -> float:
    """Processor seconds of learning from the slides; of the sweep, of all magnifications. 0: not known."""
    run = found[name][seed]
    if name in (ALL, LIGHT):
        about = run["about"][0]
        slides = int(run["configuration"]["slides"].split(",")[0]) - run["slides"]["count"]
        return float(about["training_seconds"] + slides * about["encoding_seconds"])
    every = (
        [of[seed] for other, of in found.items() if other.startswith(SINGLE) and seed in of] if name == SWEEP else [run]
    )
    taken = [float(one.get("seconds", {}).get("train", {}).get("processor", 0)) for one in every]
    return sum(taken) if all(taken) else 0.0


def _patches(run: Run) -> str:
    about = (run.get("about") or [{}])[0]
    if "patches_per_slide" in about:
        return f"{about['patches_per_slide']:.0f}"
    model = run["configuration"]["model"]
    return "all" if model["test_method"] == "exhaustive" else str(model["test_n_patches"] or model["n_patches"])


def _right(runs: Runs, seeds: list[int]) -> np.ndarray:
    """Whether each test slide was told rightly, `(seeds, slides)`."""
    return np.array([[int(digit) for digit in runs[seed]["right"]] for seed in seeds], float)


def _shared(found: Mapping[str, Runs], name: str) -> list[int]:
    return [
        seed for seed, run in sorted(found[name].items()) if "right" in run and "right" in found[JOINT].get(seed, {})
    ]


def _has_single(found: Mapping[str, Runs]) -> bool:
    return any(name.startswith(SINGLE) for name in found)


def _inference(folder: Path, cohort: str) -> dict[str, float]:
    """Processor seconds of a test slide by contestant, as far as they were measured; a single magnification is as fast as several."""
    file = folder / f"inference-{cohort}.json"
    if not file.exists():
        return {}
    seconds: dict[str, Any] = json.loads(file.read_text())["seconds"]
    return {name: float(of["processor"]) for name, of in seconds.items()}
