"""Several commands on one configuration in one process: each would load TensorFlow anew in its own.

python -m experiments.cohort_runs CONFIG prepare train evaluate
"""

from __future__ import annotations

import sys
from pathlib import Path

from ats_mag.cli.console import run_app
from experiments.cohort_runs.results import ALL, COLOUR


def run_commands(config: str, *verbs: str) -> None:
    """Runs verbs of `ats-mag`, and the baselines `colour` and `all patches`, one after the other.

    Raises:
        SystemExit: one has ended with another status than 0.
    """
    from ats_mag.cli import app

    for verb in verbs:
        if verb == COLOUR:
            from experiments.colour_baseline.folds import main as measure_colour

            measure_colour(Path(config))
        elif verb == ALL:
            from experiments.cohort_runs.all_patches import main as measure_all_patches

            measure_all_patches(Path(config))
        elif status := app([verb, config], standalone_mode=False):
            sys.exit(status)


def main() -> None:
    """Runs the verbs of the command line."""
    run_app(lambda: run_commands(*sys.argv[1:]))
