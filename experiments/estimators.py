"""Bias and variance of the logit gradient of every way of sampling, and of attention-sampling 0.2's.

    python experiments/estimators.py

writes `experiments/results/estimators.json`, which the tables of `docs/estimators.md` are made from.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
from pathlib import Path

import numpy as np
import tensorflow as tf

from ats_mag.sampling.draws import sample
from ats_mag.sampling.weights import sample_weights

RESULTS = Path(__file__).parent / "results" / "estimators.json"
METHODS = ("attention-sampling 0.2", "sequential", "replacement", "priority", "priority, not normalised")
K, N, D = 500, 10, 16
CHUNK = 5000


def softmax(logits: np.ndarray) -> np.ndarray:
    e = np.exp(logits - logits.max())
    return e / e.sum()


def gradient_of_02(drawn: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """By the drawn cells' attention, as attention-sampling 0.2 computes it; `(B, N)`, `(B, N)` -> `(B, N)`."""
    n = drawn.shape[1]
    before = np.cumsum(drawn, axis=1) - drawn
    weighted = drawn * scores
    estimator = np.cumsum(weighted, axis=1) - weighted + (1 - before) * scores
    others = np.cumsum(scores, axis=1) - scores - np.arange(n) * scores
    return (estimator * (1 - before) / drawn + others) / n


def logit_gradients(method: str, a: np.ndarray, scores: np.ndarray, n: int, draws: int, seed: int) -> np.ndarray:
    """One gradient by the logits per draw, `(draws, K)`."""
    attention = tf.constant(np.tile(a, (draws, 1)), tf.float32)
    name, _, option = method.partition(", ")
    if name == "attention-sampling 0.2":
        samples = sample(attention, n, "sequential", seed=seed)
        cell = samples.index[..., 0].numpy()
        by_attention = np.zeros((draws, len(a)))
        per_draw = gradient_of_02(samples.attention.numpy().astype("float64"), scores[cell])
        np.put_along_axis(by_attention, cell, per_draw, axis=1)
    else:
        with tf.GradientTape() as tape:
            tape.watch(attention)
            samples = sample(attention, n, name, seed=seed, normalize=option != "not normalised")
            drawn_scores = tf.gather(tf.constant(scores, tf.float32), samples.index[..., 0])
            total = tf.reduce_sum(samples.weight * drawn_scores)
        by_attention = tape.gradient(total, attention).numpy().astype("float64")
    return a * (by_attention - by_attention @ a[:, None])


def regime(sd: float, draws: int) -> dict:
    """Moments of every method's gradient at one concentration of the attention."""
    rng = np.random.default_rng(0)
    a = softmax(rng.normal(size=K) * sd)
    features = np.abs(rng.normal(size=(K, D)))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    scores = features @ rng.normal(size=D)
    truth = a * (scores - a @ scores)
    norm = np.linalg.norm(truth)
    result = {"logit_sd": sd, "top_10_mass": float(np.sort(a)[-N:].sum()), "methods": {}}
    for method in METHODS:
        mean, square = np.zeros(K), 0.0
        for seed in range(draws // CHUNK):
            g = logit_gradients(method, a, scores, N, CHUNK, seed)
            mean += g.sum(axis=0) / draws
            square += (g**2).sum() / draws
        variance = square - mean @ mean
        row = {
            "relative_variance": variance / norm**2,
            "relative_bias": np.linalg.norm(mean - truth) / norm,
            "monte_carlo_error_of_bias": math.sqrt(variance / draws) / norm,
            "cosine": mean @ truth / np.linalg.norm(mean) / norm,
        }
        if method == "priority":
            row["relative_bias_times_n_over_n_minus_1"] = np.linalg.norm(mean * N / (N - 1) - truth) / norm
        result["methods"][method] = {key: float(value) for key, value in row.items()}
    return result


def exact_biases(sd: float, k: int = 6, problems: int = 20) -> dict:
    """Median relative bias over random problems of k cells, by enumeration; no sampling error."""
    rows: dict[str, dict[int, list[float]]] = {m: {n: [] for n in range(1, k)} for m in METHODS}
    for seed in range(problems):
        rng = np.random.default_rng(seed)
        a, scores = softmax(rng.normal(size=k) * sd), rng.normal(size=k)
        truth = a * (scores - a @ scores)
        for method, n in itertools.product(METHODS, range(1, k)):
            by_attention = expected_gradient(method, a, scores, n)
            found = a * (by_attention - by_attention @ a)
            rows[method][n].append(float(np.linalg.norm(found - truth) / np.linalg.norm(truth)))
    medians = {m: {n: float(np.median(biases)) for n, biases in by_n.items()} for m, by_n in rows.items()}
    return {"logit_sd": sd, "cells": k, "problems": problems, "median_relative_bias": medians}


def expected_gradient(method: str, a: np.ndarray, scores: np.ndarray, n: int) -> np.ndarray:
    """Exact mean of the gradient by the attention."""
    cells = range(len(a))
    if method.startswith("priority"):
        draws, threshold, probability = priority_samples(a, n)
    else:
        draws = np.array(
            list(itertools.product(cells, repeat=n) if method == "replacement" else itertools.permutations(cells, n))
        )
        p = a[draws]
        probability = (p if method == "replacement" else p / (1 - np.cumsum(p, axis=1) + p)).prod(axis=1)
        threshold = None
    if method == "attention-sampling 0.2":
        per_draw = gradient_of_02(a[draws], scores[draws])
    else:
        name, _, option = method.partition(", ")
        drawn = tf.constant(a[draws])
        with tf.GradientTape() as tape:
            tape.watch(drawn)
            weight = sample_weights(drawn, name, threshold, normalize=option != "not normalised")
            total = tf.reduce_sum(weight * scores[draws])
        per_draw = tape.gradient(total, drawn).numpy()
    by_attention = np.zeros(len(a))
    np.add.at(by_attention, draws, probability[:, None] * per_draw)
    return by_attention


def priority_samples(a: np.ndarray, n: int, step: float = 0.1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every set of n cells at every threshold of a fine grid, and its probability (docs/estimators.md, section 3)."""
    x = np.arange(-40, math.log(60 / a.min()), step)
    above, below = -np.expm1(-a[:, None] * np.exp(x)), np.exp(-a[:, None] * np.exp(x))
    draws, probability = [], []
    for drawn in itertools.combinations(range(len(a)), n):
        rest = [cell for cell in range(len(a)) if cell not in drawn]
        density = above[list(drawn)].prod(axis=0) * below[rest].prod(axis=0) * a[rest].sum() * np.exp(x) * step
        draws.append(np.tile(drawn, (len(x), 1)))
        probability.append(density)
    return np.concatenate(draws), np.tile(-x, len(draws))[:, None], np.concatenate(probability)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=60_000, help="per method and regime")
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    results = {
        "cells": K,
        "samples": N,
        "features": D,
        "draws": arguments.draws,
        "regimes": [regime(sd, arguments.draws) for sd in (0.3, 1.0, 2.0, 3.5, 6.0)],
        "exact": [exact_biases(sd) for sd in (0.3, 1.0, 3.0)],
    }
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(results, indent=1) + "\n")
    for row in results["regimes"]:
        print(f"top-10 mass {row['top_10_mass']:.2f}")
        for method, values in row["methods"].items():
            print(f"  {method:26s}", {key: round(value, 3) for key, value in values.items()})
    for row in results["exact"]:
        print(row)


if __name__ == "__main__":
    main()
