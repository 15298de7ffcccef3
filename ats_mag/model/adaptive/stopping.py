"""The state of one slide's reading: what is ruled out, whether that is enough, and what is known of every score."""

from __future__ import annotations

from typing import NamedTuple

from keras import ops

from ats_mag.model.adaptive.betting import Wealth, bet, lower_limit, no_wealth, terms
from ats_mag.model.adaptive.hypotheses import Hypotheses
from ats_mag.model.adaptive.reading_order import ReadingOrder, estimate
from ats_mag.tensors import Tensor

REASONS = ("decided", "max_patches", "exhausted")


class Problem(NamedTuple):
    """What is to be decided of a slide, and how surely.

    Attributes:
        order: of its cells.
        hypotheses: of which all but the true ones are to be ruled out.
        bias: `(C,)` of the head.
        score_range: `(C,)` twice: bounds of what a feature adds to each score.
        contrast_range: `(H * J,)` twice, of the contrasts.
        alpha: 1 - confidence.
        first: cells that are read and not drawn.
    """

    order: ReadingOrder
    hypotheses: Hypotheses
    bias: Tensor
    score_range: tuple[Tensor, Tensor]
    contrast_range: tuple[Tensor, Tensor]
    alpha: Tensor
    first: Tensor


class Reading(NamedTuple):
    """After the cells read so far.

    Attributes:
        count: `()` int32, their number n.
        scores: `(K, C)`: what the feature of each adds to the class scores, without the bias; 0 of those not read.
        wealth: of the bets.
        decided: `()` bool, whether the class cannot change any more.
    """

    count: Tensor
    scores: Tensor
    wealth: Wealth
    decided: Tensor


class Verdict(NamedTuple):
    """What is known when the reading has ended.

    Attributes:
        scores: `(C,)`, the estimated class scores.
        low, high: `(C,)`: all true scores lie within, with the chosen confidence.
        count: `()` int32, patches read.
        reason: `()` int32, index into `REASONS`.
    """

    scores: Tensor
    low: Tensor
    high: Tensor
    count: Tensor
    reason: Tensor


def contrasts(hypotheses: Hypotheses, kernel: Tensor) -> Tensor:
    """`(D, H * J)` directions of the contrasts, of directions `(D, C)` of the scores."""
    flat = hypotheses.direction.reshape(hypotheses.direction.shape[0], -1)
    return ops.matmul(kernel, ops.convert_to_tensor(flat))


def nothing_read(problem: Problem) -> Reading:
    """Before the first patch."""
    _, h, j = problem.hypotheses.direction.shape
    n_scores = problem.hypotheses.direction.shape[0]
    shape = (ops.shape(problem.order.mass)[0], n_scores)
    return Reading(
        ops.zeros((), dtype="int32"), ops.zeros(shape, dtype="float32"), no_wealth(h, j), ops.zeros((), dtype="bool")
    )


def read_more(problem: Problem, before: Reading, scores: Tensor) -> Reading:
    """The next n cells of the order, with what their features add to the scores, `(n, C)`."""
    start, n = before.count, ops.shape(scores)[0]
    here = start + ops.arange(n, dtype="int32")
    mass, left = _between(problem.order, start, n)
    bias = contrasts(problem.hypotheses, problem.bias[None])[0]
    x = contrasts(problem.hypotheses, scores)
    found = terms(x, mass, left, before.wealth.total, problem.contrast_range[0], bias)
    wealth, *_ = bet(before.wealth, found, here >= problem.first, problem.alpha / problem.hypotheses.groups)
    count = start + n
    known = ops.scatter_update(before.scores, here[:, None], scores)
    now = estimate(problem.order, known, count) + problem.bias
    decided = ops.all(ops.logical_or(wealth.gone, problem.hypotheses.standing(now)))
    return Reading(count, known, wealth, decided)


def verdict(problem: Problem, reading: Reading) -> Verdict:
    """The result, with the intervals of all scores."""
    n, order = reading.count, problem.order
    scores = reading.scores[:n]
    now = estimate(order, reading.scores, n) + problem.bias
    both = ops.concatenate([scores, -scores], axis=1)
    low, high = problem.score_range
    shift = ops.concatenate([problem.bias, -problem.bias])
    mass, left = _between(order, ops.zeros((), "int32"), n)
    none = ops.zeros_like(shift)
    found = terms(both, mass, left, none, ops.concatenate([low, -high]), shift)
    other = terms(both, mass, left, none, ops.concatenate([high, -low]), shift)
    ceiling = ops.min(other.certain, axis=0) + found.rounding
    random = ops.arange(n, dtype="int32") >= problem.first
    limit = lower_limit(found, ceiling, random, problem.alpha / shift.shape[0])
    exhausted = n >= order.cells
    reason = ops.where(exhausted, 2, ops.where(reading.decided, 0, 1))
    n_scores = problem.bias.shape[0]
    lowest, highest = limit[:n_scores], -limit[n_scores:]
    return Verdict(
        scores=now,
        low=ops.where(exhausted, now, lowest),
        high=ops.where(exhausted, now, ops.maximum(highest, lowest)),
        count=n,
        reason=ops.cast(reason, "int32"),
    )


def _between(order: ReadingOrder, start: Tensor, n: Tensor) -> tuple[Tensor, Tensor]:
    """Probabilities `(n,)` of n cells from `start` on, and what is left before each and after the last, `(n+1,)`."""
    return ops.slice(order.mass, (start,), (n,)), ops.slice(order.left, (start,), (n + 1,))
