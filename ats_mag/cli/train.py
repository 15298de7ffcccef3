"""Training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ats_mag.cli.console import (
    DEFAULT_MAGNIFICATIONS,
    LocalCopiesFolder,
    LocalCopiesGb,
    SlideRoot,
    console,
    errors,
)


def train(
    records: Annotated[Path, typer.Argument(help="Folder of the records.")],
    out: Annotated[Path, typer.Argument(help="Folder of the run: model.keras, history.csv, run.json.")],
    slide_root: SlideRoot = Path("."),
    split: Annotated[str | None, typer.Option(help="Train on the records of this split; default: all.")] = None,
    validation_split: Annotated[str | None, typer.Option(help="Validate on this split after every epoch.")] = None,
    magnification: Annotated[
        list[str], typer.Option(help='Resolution of patches, um/px or "20x"; repeat.')
    ] = DEFAULT_MAGNIFICATIONS,
    patch_size: Annotated[int, typer.Option(help="Patch side in pixels.")] = 224,
    n_patches: Annotated[int, typer.Option(help="Patches per slide and step.")] = 16,
    stride: Annotated[int, typer.Option(help="Overview pixels per cell; a power of 2.")] = 8,
    head: Annotated[str, typer.Option(help="single_label, multi_label or binary.")] = "single_label",
    method: Annotated[str, typer.Option(help="sequential, priority or replacement.")] = "sequential",
    test_method: Annotated[str, typer.Option(help="topk, exhaustive, or one of the above.")] = "topk",
    explore_steps: Annotated[
        int | None,
        typer.Option(help="First steps, in which patches are drawn uniformly; default: a quarter, at most 200."),
    ] = None,
    feature: Annotated[str, typer.Option(help="small, or a network of keras.applications.")] = "small",
    feature_weights: Annotated[str | None, typer.Option(help="Weights that the feature network starts from.")] = None,
    epochs: int = 50,
    batch_size: int = 8,
    learning_rate: float = 1e-3,
    on_error: Annotated[str, typer.Option(help="raise, or fill unreadable patches with weight 0.")] = "raise",
    mixed_precision: bool = False,
    seed: int = 0,
    local_copies: LocalCopiesFolder = None,
    local_copies_gb: LocalCopiesGb = 50.0,
) -> None:
    """Trains a model on prepared records, reading patches from the slide files."""
    values: dict[str, Any] = dict(locals())
    for name in ("records", "out", "slide_root", "split", "validation_split"):
        values.pop(name)
    values["magnifications"] = values.pop("magnification")
    from ats_mag.training.run import TrainSettings
    from ats_mag.training.run import train as run

    settings = TrainSettings(**values)
    from ats_mag.progress import FitProgress

    run(records, slide_root, out, settings, split, validation_split, [FitProgress(errors)])
    console.print(f"wrote {out / 'model.keras'}", highlight=False)
