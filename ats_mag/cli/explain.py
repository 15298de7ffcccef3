"""Explaining a prediction."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ats_mag.cli.console import say
from ats_mag.cli.imports import Imports, import_given


def explain(
    model: Annotated[Path, typer.Argument(help="A .keras file.")],
    slide: Annotated[Path, typer.Argument(help="A slide file.")],
    out: Annotated[Path, typer.Option(help="Folder to write to; files of the same names are replaced.")],
    n_patches: Annotated[
        int | None, typer.Option(min=1, help="Patches to look at; default: as the model does.")
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(help="How to draw them: topk, sequential, priority, replacement; default: as the model does."),
    ] = None,
    mpp: Annotated[
        str | None, typer.Option(help='Resolution of level 0, um/px or "20x", over the file\'s own.')
    ] = None,
    modules: Imports = None,
) -> None:
    """Draws what a model looked at on a slide, and writes it as arrays and GeoJSON.

    OUT gets attention.png, patches.png, maps.npz and slide.geojson.
    """
    import_given(modules)
    from ats_mag.geometry.units import parse_slide_mpp
    from ats_mag.model.saving import load_classifier
    from ats_mag.pictures.explain import write_explanation
    from ats_mag.pictures.inspected_slide import inspect_slide

    inspected = inspect_slide(
        load_classifier(model), slide, None if mpp is None else parse_slide_mpp(mpp), method, n_patches
    )
    scores = ", ".join(f"{name} {p:.3f}" for name, p in zip(inspected.classes, inspected.probabilities, strict=True))
    for file in write_explanation(inspected, out):
        say(f"wrote {file}")
    say(scores)
