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
    out: Annotated[Path | None, typer.Option(help="CSV to write; default: standard output.")] = None,
) -> None:
    """Predicts slides by path: one row of class probabilities per slide."""
    import pandas as pd

    from ats_mag.inference import Predictor
    from ats_mag.units import parse_mpp

    predictor = Predictor(model)
    found = list(predictor.over(slides, None if mpp is None else parse_mpp(mpp)))
    table = pd.DataFrame(found, columns=[f"p_{name}" for name in predictor.classes])
    table.insert(0, "path", [str(slide) for slide in slides])
    if out is None:
        table.to_csv(sys.stdout, index=False)
    else:
        write_csv(table, out)
