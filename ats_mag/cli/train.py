"""Training."""

from __future__ import annotations

import contextlib
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
    hosts: Annotated[
        str | None,
        typer.Option(
            help="Train on several hosts together: NAME:PORT,NAME:PORT, the same on all; or local:N, N processes of this machine."
        ),
    ] = None,
    index: Annotated[int | None, typer.Option(min=0, help="Which of --hosts this is; the first is 0.")] = None,
) -> None:
    """Trains the model of each fold on prepared records; goes on where it was interrupted."""
    from ats_mag.config.reading import read_config
    from ats_mag.training.hosts.places import local_count

    settings, asked = read_config(config), asked_folds(fold, folds)
    over_hosts = hosts is not None or index is not None or settings.train.devices == "cluster"
    if scheduler is not None and over_hosts:
        raise ValueError(
            "--scheduler has each worker train a fold by itself; --hosts, --index and train.devices: cluster train one fold on "
            "several hosts together: choose one of them"
        )
    count = local_count(hosts)
    if count is not None:
        from ats_mag.training.hosts.local import train_locally

        train_locally([str(config), *([] if asked is None else ["--folds", ",".join(map(str, asked))])], count)
        return
    from ats_mag.runs.run import Run

    with contextlib.ExitStack() as stack:
        together = None
        if over_hosts:
            from ats_mag.training.hosts.opening import open_hosts, open_run
            from ats_mag.training.hosts.places import places_of

            met = open_hosts(settings, places_of(hosts, index), show_error, folds=asked)
            together = stack.enter_context(met.together())
            run = open_run(together, settings)
        else:
            run = Run.open(settings)  # also where every fold is trained: with other settings it was not
        chosen = chosen_folds(run.folds, asked)
        writes = together is None or together.chief
        if run.positive is not None and writes:
            say(f"positive class: {run.positive}")
        if scheduler is not None:
            from ats_mag.cli.train_on_workers import train_on_workers

            train_on_workers(run, chosen, scheduler)
            return
        import keras

        from ats_mag.training.fit import train_fold
        from ats_mag.training.progress_bar import FitProgress
        from ats_mag.training.verdict import fold_verdict

        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = lambda message, *_: show_error(str(message), "note")
        for k in chosen:
            files = run.layout.fold(k)
            if files.is_trained if together is None else together.of_chief("trained", files.is_trained):
                if writes:
                    say(f"fold {k} is trained already: {files.model}")
                continue
            train_fold(run, k, [FitProgress(errors)] if writes else [], together)
            if writes:
                say(f"wrote {files.model}")
                for text in fold_verdict(run, k):
                    show_error(f"fold {k}: {text}", "beware")
            keras.utils.clear_session()  # the next fold's model has the memory to itself
