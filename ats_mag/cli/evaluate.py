"""Evaluating."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import track

from ats_mag.cli.console import console, errors
from ats_mag.cli.measures import show_fold, show_folds, warnings_shown_once


def evaluate(
    config: Annotated[Path, typer.Argument(help="The run's configuration, a YAML file.")],
    fold: Annotated[int | None, typer.Option(help="Measure the model of this fold only; default: all folds.")] = None,
) -> None:
    """Measures the trained models of a run on their test slides, by slide and by patient.

    Writes slides.csv, patients.csv, metrics.json and figures into each fold's folder, and evaluation.json over all folds
    into the run's. Intervals are those of the configuration: bootstrap over patients, and a t interval over folds.
    """
    from ats_mag.cohort.manifest import load_manifest
    from ats_mag.config.reading import read_config
    from ats_mag.evaluation.evaluate import evaluate_fold
    from ats_mag.evaluation.folds import across_folds, unmeasured_folds
    from ats_mag.runs.layout import fold_numbers, model_file, stored_splits, test_slides
    from ats_mag.runs.run_folder import start_run

    run = read_config(config)
    splits = stored_splits(run)
    folds = fold_numbers(splits) if fold is None else [fold]
    for k in folds:
        test_slides(splits, k)
        model_file(run, k)  # what is missing is told before anything long starts
    start_run(run, load_manifest(run), splits)
    with warnings_shown_once():
        for k in folds:
            found = evaluate_fold(run, k, _progress(f"Fold {k}"))
            show_fold(found)
        waiting = unmeasured_folds(run)
        if waiting:
            names = ", ".join(map(str, waiting))
            console.print(f"evaluation.json comes when all folds are measured; still to do: {names}", highlight=False)
            return
        found = across_folds(run)
    if len(found["folds"]) > 1:
        show_folds(found)
    console.print(f"wrote {run.run / 'evaluation.json'}", highlight=False, soft_wrap=True)


def _progress(title: str) -> Any:
    def over(slides: Iterable[Any], count: int) -> Iterable[Any]:
        if not errors.is_terminal:
            return slides
        return track(slides, title, count, console=errors, transient=True)

    return over
