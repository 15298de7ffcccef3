"""What is measured on a cohort made by a script of `data_prep`: joint sampling, single magnifications, and colour alone.

The contestants, all with the division, the training and the networks of the cohort's `config.yaml`:

- `joint`: one attention over the places and all magnifications of the configuration,
- `single, X um/px`: the same at one of these magnifications, with as many patches,
- `uniform`: the same with an attention that stays uniform over the tissue, from which patches are drawn at test, too,
- `all patches`: every patch of every slide, encoded by the same encoder, with gated attention pooling (`all_patches.py`),
- `light selection`: 25 fields that a light network chooses, averaged (`light_selection.py`), where a cohort says of which size,
- `colour`: logistic regression on colour histograms of the overviews (`experiments.colour_baseline`). It has no seed: it
  runs once.

Each run goes through `ats-mag prepare`, `train` and `evaluate` in a process of its own and writes one result file. One that is
there is not run again, and what was interrupted goes on. `table.py` makes the table, in which the sweep's choice, the single
magnification that is best on the validation part, is a contestant, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ats_mag.config.reading import read_config
from ats_mag.config.schema import RunConfig
from experiments.cohort_runs.commands import run_commands, seconds_of
from experiments.cohort_runs.configuration import QUICK, configure, contestants, description, path_of
from experiments.cohort_runs.measures import test_measures, validation_measures
from experiments.cohort_runs.results import ALL, ALL_FOLDER, COLOUR, LIGHT, LIGHT_FOLDER, SINGLE, Run
from experiments.cohort_runs.table import table
from experiments.colour_baseline import FOLDER
from experiments.common.processes import run_module
from experiments.common.result_files import kept

BASELINES = {COLOUR: FOLDER, ALL: ALL_FOLDER, LIGHT: LIGHT_FOLDER}  # folders of their measures, in a run's


def make_cohort(script: str, *arguments: object) -> None:
    """Runs `python -m data_prep.SCRIPT`; arguments that are None are left out, as is an option before one.

    Raises:
        RuntimeError: it ended with another status than 0; it has said why.
    """
    given: list[str] = []
    for argument in arguments:
        if argument is not None:
            given.append(str(argument))
        elif given and given[-1].startswith("--"):
            given.pop()
    run_module(f"data_prep.{script}", *given)


def measure(
    cohort: Path,
    out: Path,
    seeds: int,
    only: Sequence[str] | None = None,
    quick: bool = False,
    more: Callable[[RunConfig, str], dict[str, Any]] | None = None,
    others: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Runs what has no result yet, and prints the table.

    Args:
        cohort: folder with `config.yaml` and `manifest.csv`; gets records and runs.
        out: folder of the results, `CONTESTANT-seedK.json`.
        seeds: how many, from 0.
        only: contestants to run; `single` are all of these. None: all.
        quick: one seed with the settings of `QUICK`.
        others: further contestants, or known ones, each with its changes of the configuration.
        more: called with the configuration of a run that is done and its contestant; what else is measured of it.

    Raises:
        ValueError: there is no such contestant, or a result of another configuration.
        RuntimeError: a command ended with an error; it has said which.
    """
    changes = QUICK if quick else {}
    magnifications = read_config(cohort / "config.yaml").model.magnifications
    known = {**contestants(magnifications), **(others or {})}
    for name in only or ():
        if name not in (SINGLE, *known):
            raise ValueError(f"--only must be one of {'; '.join([*known, SINGLE])}. Received: {name!r}")
    for seed in range(1 if quick else seeds):
        for contestant, own in known.items():
            wanted = not only or contestant in only or (contestant.startswith(SINGLE) and SINGLE in only)
            if not wanted or (contestant == COLOUR and seed):
                continue
            path = path_of(contestant, seed, out)
            config = configure(cohort, path.stem, {**changes, **own, "train.seed": seed})
            described = description(read_config(config), contestant, seed)

            def run(config: Path = config, contestant: str = contestant) -> Run:
                found = measure_one(config, contestant, quick) | {"cohort_magnifications": magnifications}
                return found | (more(read_config(config), contestant) if more else {})

            kept(path, described, run)
    print(table(out.name, out))


def measure_one(config: Path, contestant: str, quick: bool) -> Run:
    """Runs a contestant whose configuration is written, and reads what it measured."""
    print(config.stem.removeprefix("config-"), flush=True)
    verbs = ("prepare", contestant) if contestant in BASELINES else ("prepare", "train", "evaluate")
    if quick:  # all in this process and without tracing graphs: these take longer than a few steps
        import tensorflow as tf

        tf.config.run_functions_eagerly(True)
        run_commands(str(config), *verbs)
    else:
        run_module("experiments.cohort_runs", config, *verbs)
    settings, seconds = read_config(config), {"seconds": seconds_of(config)}
    if contestant in BASELINES:
        return test_measures(settings.run / BASELINES[contestant]) | seconds | {"validation": []}
    found = test_measures(settings.run)
    return found | seconds | {"validation": validation_measures(settings, found["folds"])}
