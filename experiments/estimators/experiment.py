"""Bias and variance of the logit gradient of every way of sampling, and of attention-sampling 0.2's.

    python -m experiments.estimators

writes `experiments/results/estimators.json`, which the tables of `docs/estimators.md` are made from.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from experiments.common.arguments import new_parser
from experiments.common.result_files import RESULTS, write_plain
from experiments.estimators.draws import moments
from experiments.estimators.enumeration import METHODS, exact_biases, softmax

K, N, D = 500, 10, 16
CHUNK = 5000


def regime(sd: float, draws: int) -> dict[str, Any]:
    """Moments of every method's gradient at one concentration of the attention."""
    rng = np.random.default_rng(0)
    a = softmax(rng.normal(size=K) * sd)
    features = np.abs(rng.normal(size=(K, D)))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    scores = features @ rng.normal(size=D)
    result: dict[str, Any] = {"logit_sd": sd, "top_10_mass": float(np.sort(a)[-N:].sum()), "methods": {}}
    for method in METHODS:
        row, mean = moments(method, a, scores, N, draws, CHUNK)
        if method == "priority":
            truth = a * (scores - a @ scores)
            corrected = np.linalg.norm(mean * N / (N - 1) - truth) / np.linalg.norm(truth)
            row["relative_bias_times_n_over_n_minus_1"] = float(corrected)
        result["methods"][method] = row
    return result


def main() -> None:
    """Measures, writes and prints."""
    parser = new_parser("estimators", __doc__)
    parser.add_argument("--draws", type=int, default=60_000, help="per method and regime")
    parser.add_argument("--output", type=Path, default=RESULTS / "estimators.json")
    arguments = parser.parse_args()
    results = {
        "cells": K,
        "samples": N,
        "features": D,
        "draws": arguments.draws,
        "regimes": [regime(sd, arguments.draws) for sd in (0.3, 1.0, 2.0, 3.5, 6.0)],
        "exact": [exact_biases(sd) for sd in (0.3, 1.0, 3.0)],
    }
    write_plain(arguments.output, results)
    for row in results["regimes"]:
        print(f"top-10 mass {row['top_10_mass']:.2f}")
        for method, values in row["methods"].items():
            print(f"  {method:26s}", {key: round(value, 3) for key, value in values.items()})
    for row in results["exact"]:
        print(row)
