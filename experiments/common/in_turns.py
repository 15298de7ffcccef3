"""Contestants measured side by side: in turns, in one run, compared by medians."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence


class Taken(float):
    """Seconds that a contestant has measured itself, as one in a process of its own does."""


def seconds(
    contestants: Mapping[str, Callable[[], object]], repeats: int, prepare: Callable[[int], object] | None = None
) -> dict[str, list[float]]:
    """Seconds of each contestant: one untimed turn each, then `repeats` turns, in an order that rotates.

    Args:
        contestants: what each one does in its turn. What returns `Taken` is believed; else the wall clock is taken.
        repeats: timed turns.
        prepare: called untimed before each turn with its number, -1 for the untimed one: sets what all have to do in it.
    """
    names = list(contestants)
    taken: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(-1, repeats):
        if prepare is not None:
            prepare(turn)
        first = max(turn, 0) % max(len(names), 1)
        for name in names[first:] + names[:first]:
            start = time.perf_counter()
            result = contestants[name]()
            elapsed = time.perf_counter() - start
            if turn >= 0:
                taken[name].append(float(result) if isinstance(result, Taken) else elapsed)
    return taken


def ratio(values: Sequence[float], reference: Sequence[float]) -> float:
    """Median over the turns of how many times faster than the reference: turn by turn, as a machine's pace drifts."""
    return statistics.median(r / v for v, r in zip(values, reference, strict=True))


def summary(values: Sequence[float]) -> dict[str, float]:
    """Median, smallest and largest."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "repeats": len(values)}
