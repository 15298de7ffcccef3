"""Exact biases of small problems: every possible draw, with its probability."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import tensorflow as tf

import ats_mag
from experiments.estimators.derivative_02 import METHOD_02, derivative_of_02

METHODS = (METHOD_02, "sequential", "replacement", "priority", "priority, not normalised")


def softmax(logits: np.ndarray) -> np.ndarray:
    e = np.exp(logits - logits.max())
    return e / e.sum()


def exact_biases(sd: float, k: int = 6, problems: int = 20) -> dict[str, Any]:
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
    if method == METHOD_02:
        per_draw = derivative_of_02(a[draws], scores[draws])
    else:
        name, _, option = method.partition(", ")
        drawn = tf.constant(a[draws])
        with tf.GradientTape() as tape:
            tape.watch(drawn)
            weight = ats_mag.sample_weights(drawn, name, threshold, normalize=option != "not normalised")
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
