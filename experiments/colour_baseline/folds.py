"""Measures what colour alone tells on every fold of a run, as its models are measured.

    python -m experiments.colour_baseline CONFIG

Takes the records and the division of a run that was begun with this configuration. For each fold it learns from the
slides for training and validation, and writes what `ats-mag evaluate` writes into `colour-baseline` of the run's folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from ats_mag.cli.show_measures import show_fold, show_folds, warnings_shown_once
from ats_mag.cohort.splits import part_of
from ats_mag.config.reading import read_config
from ats_mag.evaluation.colour_histograms import BINS, histograms, predict
from ats_mag.evaluation.evaluate import measure_predictions
from ats_mag.evaluation.folds import across_folds
from ats_mag.model.heads import get_head
from ats_mag.records.record import find_records
from ats_mag.runs.layout import RunLayout
from ats_mag.runs.run import Run
from experiments.colour_baseline import FOLDER


def run_fold(run: Run, results: RunLayout, fold: int) -> dict[str, Any]:
    """Learns from a fold's training and validation slides, and measures the predictions of its test slides."""
    splits, classes, config = run.splits, run.classes, run.config
    records = {r["slide_id"]: r for r in find_records(config.records)}
    known = splits[splits["slide_id"].isin(records)].set_index("slide_id", drop=False)
    test = run.test_slides(fold)
    test = test[test["slide_id"].isin(records)]
    without = [slide for slide in part_of(splits, fold, "test") if slide not in records]
    train = known.loc[[slide for part in ("train", "validation") for slide in part_of(known, fold, part)]]
    of_train, of_test = (
        histograms([records[slide] for slide in part["slide_id"]], config.data.slides)
        if len(part)
        else np.empty((0, 2, 3 * BINS))
        for part in (train, test)
    )
    probabilities = predict(of_train, train, classes, get_head(config.model.head).exclusive, of_test)
    about = {
        "fold": fold,
        "classes": classes,
        "head": config.model.head,
        "method": "colour histograms",
        "without_record": without,
        "unreadable": {},
    }
    return measure_predictions(config.evaluate, results.fold(fold), test, probabilities[None], about)


def main(config: Annotated[Path, typer.Argument(help="The run's configuration.")]) -> None:
    """Measures the baseline on all folds of a run."""
    run = Run.open_divided(read_config(config))
    results = RunLayout(run.layout.folder / FOLDER)
    with warnings_shown_once():
        for fold in run.folds:
            show_fold(run_fold(run, results, fold))
        found = across_folds(run, results)
    if len(found["folds"]) > 1:
        show_folds(found)
