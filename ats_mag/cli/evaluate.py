"""Evaluating."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import track

from ats_mag.cli.console import errors, say
from ats_mag.cli.imports import Imports, import_given
from ats_mag.cli.show_measures import show_fold, show_folds, show_missing, warnings_shown_once

if TYPE_CHECKING:
    from ats_mag.evaluation.predict_records import Predicted, Progress


def evaluate(
    config: Annotated[Path, typer.Argument(help="The run's configuration, a YAML file.")],
    fold: Annotated[int | None, typer.Option(help="Measure the model of this fold only; default: all folds.")] = None,
    modules: Imports = None,
) -> None:
    """Measures the trained models of a run on their test slides, by slide and by patient.

    Writes slides.csv, patients.csv, metrics.json and figures into each fold's folder, and evaluation.json over all folds
    into the run's, and the page that `report` writes. Intervals are those of the configuration: bootstrap over patients, and a t interval over folds.
    While some folds are not trained, the others are measured, over which there is evaluation-partial.json, and the status is 1.
    """
    import_given(modules)
    from ats_mag.config.reading import read_config
    from ats_mag.evaluation.evaluate import evaluate_fold
    from ats_mag.evaluation.folds import across_folds, across_some_folds, unmeasured_folds
    from ats_mag.report.page import write_report
    from ats_mag.runs.run import Run

    run = Run.open_divided(read_config(config))
    folds = run.folds if fold is None else [fold]
    for k in folds:
        run.test_slides(k)
    missing = [k for k in folds if not run.layout.fold(k).is_trained]
    if len(missing) == len(folds):
        run.layout.fold(folds[0]).trained_model()  # raises
    folds = [k for k in folds if k not in missing]
    if missing:  # what is missing is told before anything long starts
        show_missing(run, missing)
    with warnings_shown_once():
        for k in folds:
            found = evaluate_fold(run, k, _progress(f"Fold {k}"))
            show_fold(found)
        waiting = [] if missing else unmeasured_folds(run)
        if waiting:
            names = ", ".join(map(str, waiting))
            say(f"evaluation.json comes when all folds are measured; still to do: {names}")
            return
        found = across_some_folds(run, missing) if missing else across_folds(run)
    if len(found["folds"]) > 1:
        show_folds(found)
    say(f"wrote {run.layout.partial if missing else run.layout.evaluation}")
    say(f"wrote {write_report(run)}")
    if missing:
        show_missing(run, missing)
        raise typer.Exit(1)


def _progress(title: str) -> Progress:
    def over(slides: Iterable[Predicted], count: int) -> Iterable[Predicted]:
        if not errors.is_terminal:
            return slides
        return track(slides, title, count, console=errors, transient=True)

    return over
