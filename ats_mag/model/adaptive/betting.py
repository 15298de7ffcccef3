"""Bets against hypotheses about an expectation, made while its terms are drawn one by one without replacement.

With S the sum of ``a_k x_k`` over the cells read so far, R the probability that is left, and x of the next draw,
``Y = S + R x`` has the conditional mean ``mu = sum_k a_k x_k``, and ``Y >= S + R low`` where ``x >= low``. Who starts with
1 and bets the share g of what can be lost at most on mu > 0 multiplies his wealth with ``1 + g Y / L``, ``L = -(S + R low)``. Where mu <= 0
that is a nonnegative supermartingale, whatever the dependence on what was drawn, and exceeds 1 / alpha at *any* time with a
probability of alpha at most. `docs/adaptive.md` has the proofs.

Sources: Ville, "Etude critique de la notion de collectif" (1939); Waudby-Smith & Ramdas, "Confidence sequences for sampling
without replacement" (NeurIPS 2020) and "Estimating means of bounded random variables by betting" (JRSS B 2024); Shekhar, Xu, Lipton,
Liang & Ramdas, "Risk-limiting financial audits via weighted sampling without replacement" (UAI 2023).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from keras import ops

from ats_mag.tensors import Tensor

# Shares of the largest loss. High ones decide large margins in few draws, low ones are for small margins.
SHARES = np.array([0.1, 0.3, 0.6, 0.9, 0.99], dtype="float32")
# How strongly a bet follows the shares and rivals that have won so far; 1 would be their plain mixture.
EAGERNESS = 3.0
_ROUNDING = 1e-5  # of float32 sums, as a share of the range: added to every loss
_BISECTIONS = 32


class Terms(NamedTuple):
    """The martingale of Q expectations over n draws.

    Attributes:
        value: `(n, Q)`, Y: of conditional mean mu.
        bound: `(n, Q)`, what Y was known to exceed before the draw.
        certain: `(n, Q)`, what mu is known to exceed after the draw.
        total: `(Q,)`, S after the last draw.
        rounding: `(Q,)`, by how much all of these may be wrong.
    """

    value: Tensor
    bound: Tensor
    certain: Tensor
    total: Tensor
    rounding: Tensor


class Wealth(NamedTuple):
    """What bets have come to after the draws so far.

    Attributes:
        total: `(Q,)`, S.
        experts: `(H, J, G)`: log-wealth of each fixed share g against hypothesis h with rival j.
        wealth: `(H,)`: log-wealth of who follows these experts.
        gone: `(H,)` bool: hypotheses that are ruled out, now or before.
    """

    total: Tensor
    experts: Tensor
    wealth: Tensor
    gone: Tensor


def terms(x: Tensor, mass: Tensor, left: Tensor, total: Tensor, low: Tensor, shift: Tensor) -> Terms:
    """The martingale around ``mu = sum_k a_k x_k + shift``.

    Args:
        x: `(n, Q)`, of the cells drawn now.
        mass: `(n,)`, their probabilities a.
        left: `(n+1,)`, the probability of each and all after it.
        total: `(Q,)`, S before them.
        low: `(Q,)`, no x is lower.
        shift: `(Q,)`.
    """
    part = mass[:, None] * x
    after = total + ops.cumsum(part, axis=0)
    before = ops.concatenate([ops.broadcast_to(total, ops.shape(part[:1])), after[:-1]])
    now = left[:-1, None]
    return Terms(
        value=before + now * x + shift,
        bound=before + now * low + shift,
        certain=after + left[1:, None] * low + shift,
        total=after[-1],
        rounding=_ROUNDING * (ops.abs(low) + ops.abs(shift)),
    )


def growth(value: Tensor, bound: Tensor, rounding: Tensor) -> Tensor:
    """Log-factors `(..., G)` of the wealth of each of `SHARES`, for values Y `(...)` of mean <= 0 that exceed `bound`."""
    loss = ops.maximum(rounding - bound, ops.maximum(rounding, 1e-30))
    return ops.log1p(SHARES * ops.maximum(value / loss, -1.0)[..., None])


def no_wealth(n_hypotheses: int, n_rivals: int) -> Wealth:
    """Before the first draw: log-wealth 0."""
    return Wealth(
        total=ops.zeros((n_hypotheses * n_rivals,), dtype="float32"),
        experts=ops.zeros((n_hypotheses, n_rivals, len(SHARES)), dtype="float32"),
        wealth=ops.zeros((n_hypotheses,), dtype="float32"),
        gone=ops.zeros((n_hypotheses,), dtype="bool"),
    )


def bet(held: Wealth, found: Terms, random: Tensor, alpha: Tensor) -> tuple[Wealth, Tensor, Tensor]:
    """Bets on n more draws, one after the other.

    Against each hypothesis the stake is divided over shares and rivals in proportion to ``wealth ** EAGERNESS`` of each before the
    draw: a choice that knows the past only, and so one bet at level alpha however many rivals there are.

    Args:
        held: before.
        found: of the H * J contrasts.
        random: `(n,)` bool: false where a cell was not drawn, and nothing can be bet on.
        alpha: a hypothesis that is true is ruled out with this probability at most.

    Returns:
        After; the log-wealth `(n, H)` after each draw; and whether that draw ruled a hypothesis out, `(n, H)` bool.
    """
    h, j, g = held.experts.shape
    grown = ops.reshape(growth(found.value, found.bound, found.rounding), (-1, h, j * g))
    grown = ops.where(random[:, None, None], grown, 0.0)
    after = ops.reshape(held.experts, (h, j * g)) + ops.cumsum(grown, axis=0)
    before = after - grown
    stake = ops.log_softmax(EAGERNESS * before, axis=-1)
    path = held.wealth + ops.cumsum(ops.logsumexp(stake + grown, axis=-1), axis=0)
    certain = ops.any(ops.reshape(found.certain > found.rounding, (-1, h, j)), axis=2)
    gone = ops.logical_or(path >= -ops.log(ops.cast(alpha, "float32")), certain)
    experts = ops.reshape(after[-1], (h, j, g))
    return Wealth(found.total, experts, path[-1], ops.logical_or(held.gone, ops.any(gone, axis=0))), path, gone


def lower_limit(found: Terms, ceiling: Tensor, random: Tensor, alpha: Tensor) -> Tensor:
    """The largest m such that some bet on mu > m succeeded at some time: a confidence sequence's lower limit.

    The wealth here is the mean over `SHARES`, which falls with m, so that the limit is found by bisection.

    Args:
        found: of all draws so far.
        ceiling: `(Q,)`, no mu is larger.
        random: as of `bet`.
        alpha: mu lies below the limit, now or at any other time, with this probability at most.

    Returns:
        `(Q,)`.
    """
    floor = ops.maximum(ops.max(found.certain, axis=0), found.bound[0]) - found.rounding

    def succeeds(m: Tensor) -> Tensor:
        grown = growth(found.value - m, found.bound - m, found.rounding)
        path = ops.cumsum(ops.where(random[:, None, None], grown, 0.0), axis=0)
        path = ops.logsumexp(path, axis=-1) - np.log(len(SHARES)).astype("float32")
        return ops.max(path, axis=0) >= -ops.log(ops.cast(alpha, "float32"))

    def halve(_: Tensor, limits: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        low, high = limits
        middle = (low + high) / 2
        success = succeeds(middle)
        return ops.where(success, middle, low), ops.where(success, high, middle)

    return ops.fori_loop(0, _BISECTIONS, halve, (floor, ops.maximum(ceiling, floor)))[0]
