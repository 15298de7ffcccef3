"""Predicting."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ats_mag.cli.contradicted_mpp import note_contradicted_mpp
from ats_mag.cli.imports import Imports
from ats_mag.cli.options import TissueMasks, naming_options, slide_mpp
from ats_mag.cli.slide_progress import show_counts, show_failures, show_progress, show_unneeded

if TYPE_CHECKING:
    from ats_mag.prediction import Predicted

_CACHE_BYTES = 128 << 20


def predict(
    model: Annotated[
        Path,
        typer.Argument(
            help="A .keras file, the folder of an exported SavedModel, or a run's folder or configuration: its folds' models are averaged."
        ),
    ],
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
    tissue_masks: TissueMasks = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler to give the work to, such as tcp://HOST:8786.")
    ] = None,
    adaptive: Annotated[
        bool,
        typer.Option("--adaptive", help="Read patches of a slide until its class is decided, see docs/adaptive.md."),
    ] = False,
    confidence: Annotated[float, typer.Option(help="Of the class and of the intervals, with --adaptive.")] = 0.95,
    min_patches: Annotated[int, typer.Option(help="Read at least, with --adaptive.")] = 1,
    max_patches: Annotated[int | None, typer.Option(help="Read at most, with --adaptive; default: all cells.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the draws of --adaptive; every slide has its own of it.")] = 0,
    modules: Imports = None,
) -> None:
    """Predicts slides: one row of class probabilities per slide, written as the slide is done.

    Run it again with the same --out after any interruption, or with more slides: rows that stand are kept. Slides that
    fail are named in a table beside it, tried again next time, and make the exit status 1.
    """
    from ats_mag.model.adaptive.options import AdaptiveOptions
    from ats_mag.prediction import find_slides, predict_cohort
    from ats_mag.prediction.failures import failures_of
    from ats_mag.runs.layout import models_of

    # No slide is read twice: decoded tiles of many slides would only fill the memory.
    os.environ.setdefault("ATS_MAG_CACHE_BYTES", str(_CACHE_BYTES))
    found = find_slides(slides, slide_root, slide_mpp(mpp), tissue_masks)
    note_contradicted_mpp(found)
    with naming_options(
        confidence="--confidence", min_patches="--min-patches", max_patches="--max-patches", seed="--seed"
    ):
        options = AdaptiveOptions(confidence, min_patches, max_patches, seed=seed)
    if not adaptive and options != AdaptiveOptions(seed=0):
        raise typer.BadParameter("--confidence, --min-patches, --max-patches and --seed go with --adaptive")
    done: Iterable[Predicted] = predict_cohort(
        models_of(model), found, out, scheduler, modules or (), adaptive=options if adaptive else None
    )
    if out is None:
        done = _printed(done)
    elif len(found) > 1:
        done = show_progress(done, len(found), "Predicting", "predicted")
    statuses, failed = [], []
    for one in done:
        statuses.append(one.status)
        if one.error is not None:
            failed.append((os.fspath(one.slide.path), one.error))
    show_failures(failed, None if out is None else failures_of(out))
    if out is not None:
        show_counts(statuses, ("predicted", "kept", "failed"), f" in {out}")
        show_unneeded(scheduler, statuses)
    if failed:
        raise typer.Exit(1)


def _printed(done: Iterable[Predicted]) -> Iterator[Predicted]:
    """Prints the rows on standard output as they come."""
    from ats_mag.system.csv_cells import csv_line

    first = True
    for one in done:
        if one.columns is not None:
            if first:
                sys.stdout.write(csv_line(["path", *one.columns]))
                first = False
            sys.stdout.write(csv_line([one.slide.path, *one.columns.values()]))
            sys.stdout.flush()
        yield one
