"""Contestants measured side by side: in turns, in one run, compared by medians."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).resolve().parents[1] / "results"


class Taken(float):
    """Seconds that a contestant has measured itself, as one in a process of its own does."""


def seconds(
    contestants: Mapping[str, Callable[[], Any]], repeats: int, prepare: Callable[[int], None] | None = None
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


def machine() -> dict[str, Any]:
    """What a figure depends on besides the code."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        processor = names[0] if names else processor
    return {
        "processor": processor,
        "cpus": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
    }


def write(name: str, found: Mapping[str, Any], path: Path | None = None) -> Path:
    """Writes `experiments/results/NAME.json`, or `path`, whole or not at all, with the machine beside the figures."""
    path = RESULTS / f"{name}.json" if path is None else path
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text(json.dumps({"machine": machine(), **found}, indent=1) + "\n")
    os.replace(unfinished, path)
    return path


def versions(*packages: str) -> dict[str, str | None]:
    """The installed version of each package; None where it is not installed."""
    found: dict[str, str | None] = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    return found


def show(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a table."""
    table = Table(title=title)
    for i, name in enumerate(head):
        table.add_column(name, justify="left" if i == 0 else "right")
    for row in rows:
        table.add_row(*row)
    Console().print(table)
