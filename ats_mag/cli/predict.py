"""Predicting."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ats_mag.cli.watch import show_counts, show_failures, watched

if TYPE_CHECKING:
    from ats_mag.prediction import Predicted


def predict(
    model: Annotated[Path, typer.Argument(help="A .keras file, or the folder of an exported SavedModel.")],
    slides: Annotated[
        list[Path], typer.Argument(help="Slide files, folders to search for them, or manifests (CSV, XLSX).")
    ],
    mpp: Annotated[
        str | None,
        typer.Option(help="Resolution of level 0, um/px or \"20x\", over the files' own; a manifest's goes first."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="CSV that a row per slide is added to; default: standard output.")
    ] = None,
    slide_root: Annotated[
        Path | None, typer.Option(help="Folder that a manifest's paths are relative to; default: the manifest's.")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler to give the work to, such as tcp://HOST:8786.")
    ] = None,
) -> None:
    """Predicts slides: one row of class probabilities per slide, written as the slide is done.

    Run it again with the same --out after any interruption, or with more slides: rows that stand are kept. Slides that
    fail are named in a table beside it, tried again next time, and make the exit status 1.
    """
    from ats_mag.prediction import find_slides, predict_cohort
    from ats_mag.units import parse_mpp

    found = find_slides(slides, slide_root, None if mpp is None else parse_mpp(mpp))
    done: Iterable[Predicted] = predict_cohort(model, found, out, scheduler)
    if out is None:
        done = _printed(done)
    elif len(found) > 1:
        done = watched(done, len(found), "Predicting", "predicted")
    statuses, failed = [], []
    for one in done:
        statuses.append(one.status)
        if one.error is not None:
            failed.append((os.fspath(one.slide.path), one.error))
    show_failures(failed, None if out is None else out.with_suffix(".failed.csv"))
    if out is not None:
        show_counts(statuses, ("predicted", "kept", "failed"), f" in {out}")
    if failed:
        raise typer.Exit(1)


def _printed(done: Iterable[Predicted]) -> Iterator[Predicted]:
    """Prints the rows on standard output as they come."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    first = True
    for one in done:
        if one.columns is not None:
            if first:
                writer.writerow(["path", *one.columns])
                first = False
            writer.writerow([one.slide.path, *one.columns.values()])
            sys.stdout.flush()
        yield one
