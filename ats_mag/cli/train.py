"""Training."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated

import typer

from ats_mag.cli.console import console, errors, show_error


def train(
    config: Annotated[Path, typer.Argument(help="The run's configuration; `ats-mag init` writes one.")],
    fold: Annotated[
        int | None, typer.Option(min=0, help="Train this fold only; default: all, one after the other.")
    ] = None,
) -> None:
    """Trains the model of each fold on prepared records; goes on where it was interrupted."""
    from ats_mag.config.reading import read_config

    settings = read_config(config)
    import keras

    from ats_mag.cohort.manifest import load_manifest
    from ats_mag.cohort.splits import fold_names, load_splits
    from ats_mag.runs.run_folder import start_run
    from ats_mag.training.progress_bar import FitProgress
    from ats_mag.training.run import fold_folder, is_trained, train_fold

    manifest = load_manifest(settings)
    splits = load_splits(settings, manifest)
    start_run(settings, manifest, splits)  # also where every fold is trained: with other settings it was not
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = lambda message, *_: show_error(str(message), "note")
        for k in range(len(fold_names(splits))) if fold is None else [fold]:
            model = fold_folder(settings, k) / "model.keras"
            if is_trained(settings, k):
                console.print(f"fold {k} is trained already: {model}", highlight=False, soft_wrap=True)
                continue
            train_fold(settings, k, [FitProgress(errors)])
            console.print(f"wrote {model}", highlight=False, soft_wrap=True)
            keras.utils.clear_session()  # the next fold's model has the memory to itself
