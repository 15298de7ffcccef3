"""What is measured on a cohort made by a script of `data_prep`: joint sampling, single magnifications, and colour alone.

The contestants, all with the division, the training and the networks of the cohort's `config.yaml`:

- `joint`: one attention over the places and all magnifications of the configuration,
- `single, X um/px`: the same at one of these magnifications, with as many patches,
- `colour`: logistic regression on colour histograms of the overviews (`colour_baseline.py`). It has no seed: it runs once.

Each run goes through `ats-mag prepare`, `train` and `evaluate` in a process of its own and writes one result file. One that is
there is not run again, and what was interrupted goes on. `cohort_results.py` makes the table, in which the sweep's choice, the
single magnification that is best on the validation part, is a contestant, too.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import result_files
import yaml
from cohort_measures import test_measures, validation_measures
from cohort_results import COLOUR, JOINT, SINGLE, table

from ats_mag.cli.console import run_app
from ats_mag.cohort.manifest import load_manifest
from ats_mag.config.changes import is_free
from ats_mag.config.reading import read_config
from ats_mag.config.schema import RunConfig

ROOT = Path(__file__).resolve().parents[1]
STAND_IN = "stand-in"
QUICK: dict[str, Any] = {
    "splits.folds": 2,
    "prepare.workers": 1,
    "prepare.sheets": False,
    "model.patch_size": 16,
    "model.n_patches": 4,
    "train.epochs": 1,
    "train.batch_size": 4,
    "evaluate.resamples": 20,
    "evaluate.figures": False,
}  # of the configuration, on a stand-in for the data


def make_cohort(script: str, *arguments: object) -> None:
    """Runs `data_prep/SCRIPT.py`; arguments that are None are left out, as is an option before one.

    Raises:
        RuntimeError: it ended with another status than 0; it has said why.
    """
    given: list[str] = []
    for argument in arguments:
        if argument is not None:
            given.append(str(argument))
        elif given and given[-1].startswith("--"):
            given.pop()
    _run(ROOT / "data_prep" / f"{script}.py", *given)


def check_quick(quick: bool, out: Path, usual: Path, data: object, argument: str) -> None:
    """Refuses `--quick` with data or with the usual folder of results, and anything else without data.

    Raises:
        ValueError: with the mend.
    """
    if quick and data is not None:
        raise ValueError(
            f"--quick runs on pictures that it makes itself: leave {argument} away. Received: {str(data)!r}"
        )
    if quick and out.resolve() == usual.resolve():
        raise ValueError("--quick measures nothing worth keeping: give another folder with --out")
    if not quick and data is None:
        raise ValueError(
            f"{argument} is missing: say where the data set is, or try the script with --quick --out FOLDER"
        )


def measure(cohort: Path, out: Path, seeds: int, only: Sequence[str] | None = None, quick: bool = False) -> None:
    """Runs what has no result yet, and prints the table.

    Args:
        cohort: folder with `config.yaml` and `manifest.csv`; gets records and runs.
        out: folder of the results, `CONTESTANT-seedK.json`.
        seeds: how many, from 0.
        only: contestants to run; `single` are all of these. None: all.
        quick: one seed with the settings of `QUICK`.

    Raises:
        ValueError: there is no such contestant, or a result of another configuration.
        RuntimeError: a command ended with an error; it has said which.
    """
    changes = QUICK if quick else {}
    magnifications = read_config(cohort / "config.yaml").model.magnifications
    known: dict[str, dict[str, Any]] = {JOINT: {}}
    if len(magnifications) > 1:
        known |= {f"{SINGLE}, {mpp:g} um/px": {"model.magnifications": [mpp]} for mpp in magnifications}
    known[COLOUR] = {}
    more = {"cohort_magnifications": magnifications}
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
            result_files.kept(path, described, lambda c=config, n=contestant: _measured(c, n, quick) | more)
    print(table(out.name, out))


def path_of(contestant: str, seed: int, out: Path) -> Path:
    name = contestant.replace(", ", "-").replace(" ", "-").replace("/", "-")
    return out / f"{name}-seed{seed}.json"


def configure(cohort: Path, name: str, changes: Mapping[str, Any]) -> Path:
    """The cohort's configuration with changes (`{"train.seed": 1}`) and a run's folder of its own; records are shared."""
    settings = yaml.safe_load((cohort / "config.yaml").read_text())
    for key, value in changes.items():
        section, _, last = key.partition(".")
        settings[section] = (settings.get(section) or {}) | {last: value}
    settings["run"] = f"run-{name}"
    prepare = settings["prepare"] = settings.get("prepare") or {}
    prepare["records"] = prepare.get("records") or "records"
    path = cohort / f"config-{name}.yaml"
    path.write_text(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True))
    return path


def description(config: RunConfig, contestant: str, seed: int) -> dict[str, Any]:
    """All that the measures depend on, as plain values: settings and slides, but not where these lie."""
    values = config.model_dump(mode="json")
    sections = ("splits", "prepare") if contestant == COLOUR else ("splits", "prepare", "model", "train")
    found: dict[str, Any] = {"contestant": contestant, "seed": seed, "slides": slides_in_words(config)}
    for section in sections:
        found[section] = {key: v for key, v in values[section].items() if not is_free(f"{section}.{key}")}
    found["head"] = values["model"]["head"]
    found["default_mpp"] = values["data"]["default_mpp"]
    found["evaluate"] = {key: v for key, v in values["evaluate"].items() if key != "figures"}
    return found


def slides_in_words(config: RunConfig) -> str:
    """How many slides the manifest names, and a digest of their patients, classes, resolutions and parts."""
    manifest = load_manifest(config)
    columns = [name for name in ("slide_id", "patient_id", "label", "mpp", "split", "site") if name in manifest]
    rows = manifest[columns].sort_values("slide_id").to_csv(index=False)
    return f"{len(manifest)}, {hashlib.sha256(rows.encode()).hexdigest()[:12]}"


def _measured(config: Path, contestant: str, quick: bool) -> dict[str, Any]:
    """Runs a contestant whose configuration is written, and reads what it measured."""
    print(config.stem.removeprefix("config-"), flush=True)
    verbs = ("prepare", COLOUR) if contestant == COLOUR else ("prepare", "train", "evaluate")
    if quick:  # all in this process and without tracing graphs: these take longer than a few steps
        import tensorflow as tf

        tf.config.run_functions_eagerly(True)
        _commands(str(config), *verbs)
    else:
        _run(__file__, config, *verbs)
    settings = read_config(config)
    if contestant == COLOUR:
        return test_measures(settings.run / "colour-baseline")
    found = test_measures(settings.run)
    return found | {"validation": validation_measures(settings, found["folds"])}


def _run(*command: object) -> None:
    words = list(map(str, command))
    if status := subprocess.run([sys.executable, *words], check=False).returncode:
        raise RuntimeError(f"{' '.join(words)} ended with status {status}: see above. What is done is kept")


def _commands(config: str, *verbs: str) -> None:
    """Commands of `ats-mag`, one after the other in this process: each would load TensorFlow anew in its own."""
    from ats_mag.cli import app

    for verb in verbs:
        if verb == COLOUR:
            from colour_baseline import main

            main(Path(config))
        elif status := app([verb, config], standalone_mode=False):
            sys.exit(status)


if __name__ == "__main__":
    run_app(lambda: _commands(*sys.argv[1:]))
