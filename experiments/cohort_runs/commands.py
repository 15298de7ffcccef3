"""Several commands on one configuration in one process: each would load TensorFlow anew in its own.

    python -m experiments.cohort_runs CONFIG prepare train evaluate

What each took is noted beside the configuration: processor seconds of this process, which other work on the machine hardly
changes, seconds by the clock, and the most memory, in bytes, until its end. Of a command that went on after an interruption, only
what came after it counts.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from ats_mag.cli.console import run_app
from ats_mag.system.memory import largest
from experiments.cohort_runs.results import ALL, COLOUR, LIGHT

Seconds = dict[str, dict[str, float]]


def run_commands(config: str, *verbs: str) -> None:
    """Runs verbs of `ats-mag`, and the baselines `colour`, `all patches` and `light selection`, one after the other.

    Raises:
        SystemExit: one has ended with another status than 0.
    """
    for verb in verbs:
        with _noted(Path(config), verb):
            _run(config, verb)


def seconds_of(config: Path) -> Seconds:
    """What the commands on a configuration took: `{verb: {"processor": s, "clock": s, "memory": bytes}}`."""
    file = config.with_suffix(".seconds.json")
    found: Seconds = json.loads(file.read_text()) if file.exists() else {}
    return found


def _run(config: str, verb: str) -> None:
    from ats_mag.cli import app

    if verb == COLOUR:
        from experiments.colour_baseline.folds import main as measure_colour

        measure_colour(Path(config))
    elif verb == ALL:
        from experiments.cohort_runs.all_patches import main as measure_all_patches

        measure_all_patches(Path(config))
    elif verb == LIGHT:
        from experiments.cohort_runs.light_selection import main as measure_light_selection

        measure_light_selection(Path(config))
    elif status := app([verb, config], standalone_mode=False):
        sys.exit(status)


@contextlib.contextmanager
def _noted(config: Path, verb: str) -> Iterator[None]:
    begun = time.process_time(), time.perf_counter()
    yield
    took = {"processor": time.process_time() - begun[0], "clock": time.perf_counter() - begun[1]}
    took["memory"] = largest()
    config.with_suffix(".seconds.json").write_text(json.dumps(seconds_of(config) | {verb: took}, indent=1))


def main() -> None:
    """Runs the verbs of the command line."""
    run_app(lambda: run_commands(*sys.argv[1:]))
