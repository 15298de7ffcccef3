"""Exporting."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ats_mag.cli.console import say
from ats_mag.cli.imports import Imports, import_given


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
    modules: Imports = None,
) -> None:
    """Writes two SavedModels: by slide path, and without the op for a stock server.

    Each holds model_card.json: what the model is, and, of a model in the folder of a run, what it was trained on and how it
    measured.
    """
    import_given(modules)
    from ats_mag.model.export.savedmodel import export_model
    from ats_mag.model.saving import load_classifier
    from ats_mag.runs.model_card import model_card
    from ats_mag.system.atomic_files import check_place

    check_place(out)
    loaded = load_classifier(model)
    for folder in export_model(loaded, out, model_card(loaded, model, intended_use), encoder):
        say(f"wrote {folder}")
