"""Evaluating."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from ats_mag.cli.console import LocalCopiesFolder, LocalCopiesGb, SlideRoot, console, write_csv


def evaluate(
    model: Annotated[Path, typer.Argument(help="A .keras file.")],
    records: Annotated[Path, typer.Argument(help="Folder of the records.")],
    slide_root: SlideRoot = Path("."),
    split: Annotated[str | None, typer.Option(help="Evaluate the records of this split; default: all.")] = None,
    out: Annotated[Path | None, typer.Option(help="CSV of the predictions to write.")] = None,
    local_copies: LocalCopiesFolder = None,
    local_copies_gb: LocalCopiesGb = 50.0,
) -> None:
    """Measures a model on prepared records."""
    from ats_mag.evaluation.evaluate import evaluate as run
    from ats_mag.records import find_records
    from ats_mag.saving import load_model
    from ats_mag.training.run import local_copies as copies

    found = find_records(records, split)
    table, measures = run(load_model(model, compile=False), found, slide_root, copies(local_copies, local_copies_gb))
    if out is not None:
        write_csv(table, out)
    shown = Table(show_header=False, box=None)
    for name, value in measures.items():
        shown.add_row(name, f"{value:.4g}")
    console.print(shown)
