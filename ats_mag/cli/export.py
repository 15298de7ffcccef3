"""Exporting."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ats_mag.cli.console import console


def export(
    model: Annotated[Path, typer.Argument(help="A .keras file.")],
    out: Annotated[Path, typer.Argument(help="Folder of the SavedModel; a second one goes to OUT-stock.")],
    intended_use: Annotated[
        str | None, typer.Option(help="What the model is for, in your words; it goes into model_card.json.")
    ] = None,
    encoder: Annotated[
        bool,
        typer.Option(help="Without, only OUT-stock is written, which takes what the frozen encoder says of patches."),
    ] = True,
) -> None:
    """Writes two SavedModels: by slide path, and without the op for a stock server.

    Each holds model_card.json: what the model is, and, of a model in the folder of a run, what it was trained on and how it
    measured.
    """
    from ats_mag.model.export.savedmodel import export_model
    from ats_mag.model.saving import load_model
    from ats_mag.runs.model_card import model_card

    loaded = load_model(model, compile=False)
    for folder in export_model(loaded, out, model_card(loaded, model, intended_use), encoder):
        console.print(f"wrote {folder}", highlight=False, soft_wrap=True)
