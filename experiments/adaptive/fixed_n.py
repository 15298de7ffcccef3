"""Intervals at a fixed N, and the smallest N that decides."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from experiments.adaptive.simulation import Run
from experiments.adaptive.slides import Slides


def wins(ruled_out: np.ndarray, single: bool) -> np.ndarray:
    """Whether the hypotheses `(..., H)` that are ruled out leave one of each group."""
    if single:
        return ruled_out.sum(axis=-1) >= ruled_out.shape[-1] - 1
    return ruled_out.reshape(*ruled_out.shape[:-1], -1, 2).any(axis=-1).all(axis=-1)


class FixedN:
    """Fixed-N intervals: ``decides[name](run, noise, n)`` says whether that of the first n draws decides.

    Of exclusive classes a hypothesis is ruled out by any rival at level alpha / (C - 1); one of them wins that leaves no other.
    """

    def __init__(self, slides: Slides, alpha: float) -> None:
        self.single = slides.hypotheses.ranked
        _, h, j = slides.hypotheses.direction.shape
        self.low, self.range = (part.reshape(h, j) for part in (slides.low, slides.high - slides.low))
        self.log = float(np.log((j if self.single else slides.hypotheses.groups) / alpha))
        self.shift = slides.shift.reshape(h, j)
        self.decides = {
            "hoeffding": self.hoeffding,
            "empirical bernstein": self.bernstein,
            "bets tuned to N": self.bets,
        }

    def _with_replacement(self, run: Run, noise: np.ndarray, n: int) -> np.ndarray:
        cumulative = np.cumsum(run.mass, dtype="float64")
        uniform = np.random.default_rng(noise[0, :4].view("uint32")).random(n) * cumulative[-1]
        return run.x[np.searchsorted(cumulative, uniform).clip(max=len(run.mass) - 1)]

    def hoeffding(self, run: Run, noise: np.ndarray, n: int) -> bool:
        """Hoeffding's, of draws with replacement."""
        mean = self._with_replacement(run, noise, n).mean(axis=0)
        return self._wins(mean - self.range * np.sqrt(self.log / (2 * n)))

    def bernstein(self, run: Run, noise: np.ndarray, n: int) -> bool:
        """The empirical Bernstein bound, of draws with replacement."""
        if n < 2:
            return False
        x = self._with_replacement(run, noise, n)
        log = self.log + np.log(2)
        width = np.sqrt(2 * x.var(axis=0, ddof=1) * log / n) + 7 * self.range * log / (3 * (n - 1))
        return self._wins(x.mean(axis=0) - width)

    def bets(self, run: Run, _: np.ndarray, n: int) -> bool:
        """Bets tuned to n, of draws without replacement."""
        mass, x = run.mass[:n, None, None], run.x[:n] - self.shift
        before = np.cumsum(mass * x, axis=0) - mass * x
        left = np.maximum(run.mass.sum() - np.cumsum(mass, axis=0) + mass, 0)
        value, loss = before + left * x + self.shift, -(before + left * self.low + self.shift)
        unit = value / self.range
        count = np.arange(1, n + 1)[:, None, None]
        mean = np.cumsum(unit, axis=0) / count
        variance = (0.25 + np.cumsum((unit - mean) ** 2, axis=0)) / (count + 1)
        variance = np.concatenate([np.full_like(variance[:1], 0.25), variance[:-1]])
        stake = np.sqrt(2 * self.log / (n * variance)) / self.range
        stake = np.minimum(stake, 0.99 / np.maximum(loss, 1e-6))
        wealth = np.cumsum(np.log1p(np.maximum(stake * value, -0.99)), axis=0).max(axis=0)
        return bool(wins((wealth >= self.log).any(axis=1) | run.certain[n - 1], self.single))

    def _wins(self, lower: np.ndarray) -> bool:
        return bool(wins((lower > 0).any(axis=1), self.single))


def smallest(holds: Callable[[int], bool], most: int) -> int:
    """The smallest n up to `most` that holds, of a property that goes on holding; `most` itself is not asked."""
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
