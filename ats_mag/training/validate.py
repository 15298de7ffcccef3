"""The check before anything long starts: everything that preparing, training and evaluating will ask."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ats_mag.cohort.manifest import load_manifest
from ats_mag.geometry.multiples import ceil_div
from ats_mag.model.heads import get_head
from ats_mag.runs.comparability import settled
from ats_mag.runs.layout import RunLayout
from ats_mag.runs.run_file import read_run_file
from ats_mag.runs.validate import validate as validate_slides
from ats_mag.system.dask_cluster import check_address

if TYPE_CHECKING:
    from ats_mag.config.schema import RunConfig

_REFUSALS = (ValueError, OSError, RuntimeError, MemoryError, ImportError)


def validate(config: RunConfig, progress: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """As `runs.validate.validate`; and makes the model that would be trained, so that what it refuses is known now.

    Args:
        config: of the run.
        progress: as there.

    Returns:
        As there, with more sentences.
    """
    report = validate_slides(config, progress)
    report["stops"] += [*_rights(config), *_packages(config)]
    if not report["classes"]:  # the manifest cannot be read
        return report
    config = settled(config, read_run_file(RunLayout.of(config).run))
    report["warnings"] += _records(config)
    heads = get_head(config.model.head)
    fits = heads.fewest_classes <= len(report["classes"]) <= (heads.most_classes or len(report["classes"]))
    if fits:
        report["stops"] += [text for text in _model(config, report) if text not in report["stops"]]
    return report


def _rights(config: RunConfig) -> Iterator[str]:
    """Folders that nothing can be written into."""
    folders = {"run": config.run, "prepare.records": config.records, "train.local_copies": config.train.local_copies}
    for key, folder in folders.items():
        if folder is None:
            continue
        there = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            yield f"`{key}`: there is no right to write into {str(there)!r}, or it is no folder: choose another one"


def _packages(config: RunConfig) -> Iterator[str]:
    """Packages that are asked for and not installed."""
    from ats_mag.training.tensorboard import check_installed

    if config.train.tensorboard:
        try:
            check_installed()
        except ImportError as error:
            yield str(error)
    if config.prepare.scheduler is not None:
        try:
            check_address(config.prepare.scheduler)
        except ValueError as error:
            yield f"`prepare.scheduler`: {error}"
    if config.prepare.scheduler is not None and importlib.util.find_spec("distributed") is None:
        yield "`prepare.scheduler` needs Dask, which is not installed: pip install 'ats-mag[dask]', or set it to null"


def _records(config: RunConfig) -> Iterator[str]:
    """Records that are there and cannot be used as they are, and slides without one."""
    from ats_mag.records.record import RecordError
    from ats_mag.records.schema import SUFFIX
    from ats_mag.runs.run import Run
    from ats_mag.runs.usable_records import usable_records

    if not any(Path(config.records).glob(f"*{SUFFIX}")):
        return
    manifest = load_manifest(config)
    run = Run(config, manifest, pd.DataFrame(), {})  # neither is looked at
    try:
        there = usable_records(run, list(manifest["slide_id"]), skip=True)
    except RecordError as error:
        yield f"before training, run `ats-mag prepare`: {error}"
        return
    missing = [slide for slide in manifest["slide_id"] if slide not in there]
    if missing:
        yield f"{len(missing)} slide(s) have no record yet, such as {missing[0]!r}: run `ats-mag prepare` before training"


def _model(config: RunConfig, report: dict[str, Any]) -> Iterator[str]:
    """What making the model, and choosing its best epoch, refuse; warns of a training that never leaves its first phase."""
    from ats_mag.training.build import build_model, recipe_of
    from ats_mag.training.settings import epoch_to_choose

    slides = pd.DataFrame(report["labels"], columns=["fold", "part", "label", "slides", "patients"])
    counts = slides.groupby(["fold", "part"])["slides"].sum() if len(slides) else pd.Series(dtype=int)
    folds = sorted({fold for fold, _ in counts.index}) if len(counts) else []
    training = [int(counts.get((fold, "train"), 0)) for fold in folds]
    steps = config.train.epochs * ceil_div(max([1, *training]), config.train.batch_size)
    try:
        recipe = recipe_of(config)
        model = build_model(
            config, recipe, report["classes"], config.prepare.overview_mpp, steps, config.train.batch_size
        )
    except _REFUSALS as error:
        yield f"no model can be made: {error}"
        return
    for validated in sorted({bool(counts.get((fold, "validation"), 0)) for fold in folds}):
        try:
            epoch_to_choose(config, model, validated)
        except ValueError as error:
            yield str(error)
    if recipe.explore(steps) >= steps:
        report["warnings"].append(
            f"all {steps} steps of training would draw patches uniformly (`model.explore_steps`), and no attention would be learnt: "
            "lower that, or train longer"
        )
