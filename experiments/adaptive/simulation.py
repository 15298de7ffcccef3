"""Runs of adaptive prediction, simulated by the functions that predict."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from ats_mag.model.adaptive.betting import bet, no_wealth, terms
from ats_mag.model.adaptive.options import AdaptiveOptions
from ats_mag.model.adaptive.reading_order import draw_order, estimate
from ats_mag.model.adaptive.stopping import contrasts
from experiments.adaptive.slides import Slides


class Run(NamedTuple):
    """One order of one slide's K cells, and what is known after each of them.

    Attributes:
        mass: `(K,)` of the cells in order.
        x: `(K, H, J)` contrasts of their features, with the bias: none of hypothesis h is positive in the mean if h is true.
        certain: `(K, H)` which hypotheses are ruled out for certain.
        gone: `(K, H)` which are ruled out.
        standing: `(K, H)` those of the estimate.
        truth: `(H,)` those of all cells.
    """

    mass: np.ndarray
    x: np.ndarray
    certain: np.ndarray
    gone: np.ndarray
    standing: np.ndarray
    truth: np.ndarray


def simulator(slides: Slides, alpha: float, first: int = 0) -> Callable[[int, np.ndarray], Run]:
    """``simulate(i, noise)``: a run on slide i, bets and estimates by the functions that predict."""
    rivals = slides.hypotheses
    _, h, j = rivals.direction.shape

    @tf.function(reduce_retracing=True)
    def simulate(attention: tf.Tensor, scores: tf.Tensor, noise: tf.Tensor) -> tuple[tf.Tensor, ...]:
        order = draw_order(attention, noise, first)
        _, width, depth = tf.unstack(tf.shape(attention)[1:])
        row, column, layer = tf.unstack(order.index, axis=1)
        scores = tf.gather(scores, (row * width + column) * depth + layer)
        x = contrasts(rivals, scores)
        found = terms(x, order.mass, order.left, tf.zeros(h * j), slides.low, slides.shift)
        drawn = tf.range(tf.size(order.mass)) >= first
        _, _, gone = bet(no_wealth(h, j), found, drawn, alpha / rivals.groups)
        certain = tf.reduce_any(tf.reshape(found.certain > found.rounding, (-1, h, j)), axis=2)
        counts = tf.range(1, order.cells + 1)
        standing = tf.vectorized_map(lambda n: rivals.standing(estimate(order, scores, n) + slides.bias), counts)
        truth = rivals.standing(tf.linalg.matvec(scores, order.mass, transpose_a=True) + slides.bias)
        x = tf.reshape(x + slides.shift, (-1, h, j))
        return (*(part[: order.cells] for part in (order.mass, x, certain, gone)), standing, truth)

    def run(i: int, noise: np.ndarray) -> Run:
        found = [part.numpy() for part in simulate(slides.attention[i], slides.scores[i], noise)]
        return Run(*found[:2], *(np.logical_or.accumulate(part) for part in found[2:4]), *found[4:])

    return run


def stop(run: Run, options: AdaptiveOptions) -> tuple[int, bool]:
    """Patches read, and whether the class is another than the exact one."""
    cells = len(run.mass)
    ends = np.unique(np.append(np.arange(options.block, cells, options.block), cells))
    ends = ends[ends >= min(options.min_patches, cells)]
    decided = (run.gone | run.standing)[ends - 1].all(axis=1)
    decided[-1] = True
    n = int(ends[decided.argmax()])
    return n, bool((run.standing[n - 1] != run.truth).any())
