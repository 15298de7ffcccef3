"""Training."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated

import typer

from ats_mag.cli.chosen_folds import asked_folds, chosen_folds
from ats_mag.cli.console import errors, say, show_error


def train(
    config: Annotated[Path, typer.Argument(help="The run's configuration; `ats-mag init` writes one.")],
    fold: Annotated[
        int | None, typer.Option(min=0, help="Train this fold only; default: all, one after the other.")
    ] = None,
    folds: Annotated[str | None, typer.Option(help="Train these folds only, such as 0,2 or 0-2.")] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(help="Address of a Dask scheduler, such as tcp://HOST:8786: one fold at a time at each worker."),
    ] = None,
) -> None:
    """Trains the model of each fold on prepared records; goes on where it was interrupted."""
    from ats_mag.config.reading import read_config

    settings, asked = read_config(config), asked_folds(fold, folds)
    from ats_mag.runs.run import Run

    run = Run.open(settings)  # also where every fold is trained: with other settings it was not
    chosen = chosen_folds(run.folds, asked)
    if run.positive is not None:
        say(f"positive class: {run.positive}")
    if scheduler is not None:
        from ats_mag.cli.train_on_workers import train_on_workers

        train_on_workers(run, chosen, scheduler)
        return
    import keras

    from ats_mag.training.fit import train_fold
    from ats_mag.training.progress_bar import FitProgress
    from ats_mag.training.verdict import fold_verdict

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = lambda message, *_: show_error(str(message), "note")
        for k in chosen:
            files = run.layout.fold(k)
            if files.is_trained:
                say(f"fold {k} is trained already: {files.model}")
                continue
            train_fold(run, k, [FitProgress(errors)])
            say(f"wrote {files.model}")
            for text in fold_verdict(run, k):
                show_error(f"fold {k}: {text}", "beware")
            keras.utils.clear_session()  # the next fold's model has the memory to itself
