"""Exporting."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ats_mag.cli.console import console


def export(
    model: Annotated[Path, typer.Argument(help="A .keras file.")],
    out: Annotated[Path, typer.Argument(help="Folder of the SavedModel; a second one goes to OUT-stock.")],
) -> None:
    """Writes two SavedModels: by slide path, and without the op for a stock server."""
    from ats_mag.saving import load_model

    for folder in load_model(model, compile=False).export(out):
        console.print(f"wrote {folder}", highlight=False, soft_wrap=True)
