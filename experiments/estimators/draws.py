"""Gradients by the logits of many draws, and their moments."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

import ats_mag
from experiments.estimators.derivative_02 import METHOD_02, derivative_of_02


def logit_gradients(method: str, a: np.ndarray, scores: np.ndarray, n: int, draws: int, seed: int) -> np.ndarray:
    """One gradient by the logits per draw, `(draws, K)`."""
    attention = tf.constant(np.tile(a, (draws, 1)), tf.float32)
    name, _, option = method.partition(", ")
    if name == METHOD_02:
        samples = ats_mag.sample(attention, n, "sequential", seed=seed)
        cell = samples.index[..., 0].numpy()
        by_attention = np.zeros((draws, len(a)))
        per_draw = derivative_of_02(samples.attention.numpy().astype("float64"), scores[cell])
        np.put_along_axis(by_attention, cell, per_draw, axis=1)
    else:
        with tf.GradientTape() as tape:
            tape.watch(attention)
            samples = ats_mag.sample(attention, n, name, seed=seed, normalize=option != "not normalised")
            drawn_scores = tf.gather(tf.constant(scores, tf.float32), samples.index[..., 0])
            total = tf.reduce_sum(samples.weight * drawn_scores)
        by_attention = tape.gradient(total, attention).numpy().astype("float64")
    return a * (by_attention - by_attention @ a[:, None])


def moments(
    method: str, a: np.ndarray, scores: np.ndarray, n: int, draws: int, chunk: int
) -> tuple[dict[str, float], np.ndarray]:
    """Relative variance and bias of the logit gradient.

    Args:
        method: of drawing.
        a: `(K,)` attention.
        scores: `(K,)`, the product of each cell's feature with the upstream gradient.
        n: samples of a draw.
        draws: how many.
        chunk: so many at a time.

    Returns:
        The measures, the Monte-Carlo error of the bias among them; and the mean gradient `(K,)`.
    """
    truth = a * (scores - a @ scores)
    norm = np.linalg.norm(truth)
    mean, square = np.zeros(len(a)), 0.0
    for seed in range(draws // chunk):
        found = logit_gradients(method, a, scores, n, chunk, seed)
        mean += found.sum(axis=0) / draws
        square += (found**2).sum() / draws
    variance = square - mean @ mean
    measures = {
        "relative_variance": float(variance / norm**2),
        "relative_bias": float(np.linalg.norm(mean - truth) / norm),
        "monte_carlo_error_of_bias": float(math.sqrt(variance / draws) / norm),
        "cosine": float(mean @ truth / np.linalg.norm(mean) / norm),
    }
    return measures, mean
