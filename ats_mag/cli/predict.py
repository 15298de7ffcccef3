"""Predicting."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ats_mag.cli.console import write_csv


def predict(
    model: Annotated[Path, typer.Argument(help="A .keras file, or the folder of an exported SavedModel.")],
    slides: Annotated[list[Path], typer.Argument(help="Slide files.")],
    mpp: Annotated[
        str | None, typer.Option(help='Resolution of level 0, um/px or "20x", over the files\' own.')
    ] = None,
    adaptive: Annotated[
        bool,
        typer.Option("--adaptive", help="Read patches of a slide until its class is decided, see docs/adaptive.md."),
    ] = False,
    confidence: Annotated[float, typer.Option(help="Of the class and of the intervals, with --adaptive.")] = 0.95,
    min_patches: Annotated[int, typer.Option(help="Read at least, with --adaptive.")] = 1,
    max_patches: Annotated[int | None, typer.Option(help="Read at most, with --adaptive; default: all cells.")] = None,
    out: Annotated[Path | None, typer.Option(help="CSV to write; default: standard output.")] = None,
) -> None:
    """Predicts slides by path: one row of class probabilities per slide."""
    import pandas as pd

    from ats_mag.adaptive.options import AdaptiveOptions
    from ats_mag.inference import Predictor
    from ats_mag.units import parse_mpp

    options = AdaptiveOptions(confidence, min_patches, max_patches) if adaptive else None
    predictor = Predictor(model, options)
    slide_mpp = None if mpp is None else parse_mpp(mpp)
    table = pd.DataFrame([predictor.predict(slide, slide_mpp).columns() for slide in slides])
    table.insert(0, "path", [str(slide) for slide in slides])
    if out is None:
        table.to_csv(sys.stdout, index=False)
    else:
        write_csv(table, out)
