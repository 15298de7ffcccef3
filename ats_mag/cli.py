"""The command line: one command per verb. Heavy imports happen inside the commands, so that `--help` is quick."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

app = typer.Typer(
    name="ats-mag",
    help="Whole-slide classification by joint spatial and magnification attention sampling.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console()
errors = Console(stderr=True)

DEFAULT_MAGNIFICATIONS = ["20x", "5x"]
SlideRoot = Annotated[Path, typer.Option(help="Folder that the slides' paths are relative to.")]
OverviewMpp = Annotated[str, typer.Option(help='Resolution of the overviews, um/px or "1.25x".')]


def main() -> None:
    """Runs the command line; what is wrong with the input is one message, not a traceback."""
    if not os.environ.get("ATS_MAG_TRACEBACK"):
        _hush_libraries()
    try:
        app()
    except (ValueError, OSError, RuntimeError, MemoryError, ImportError) as error:
        if os.environ.get("ATS_MAG_TRACEBACK"):
            raise
        errors.print(f"[bold red]error:[/] {_escape(_message(error))}", soft_wrap=True, highlight=False)
        sys.exit(1)


def _hush_libraries() -> None:
    """Sends what compiled libraries log to standard error nowhere; Python's own messages still get there.

    TensorFlow logs its start and every failed op whatever its log level. `ATS_MAG_TRACEBACK=1` shows it all.
    """
    sys.stderr.flush()
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    with open(os.devnull, "w") as devnull:
        os.dup2(devnull.fileno(), 2)


def _message(error: BaseException) -> str:
    from pydantic import ValidationError

    if isinstance(error, ValidationError):
        parts = ((".".join(map(str, e["loc"])), e) for e in error.errors())
        return "; ".join(f"{where}: {e['msg']}. Received: {e['input']!r}" for where, e in parts)
    return str(error)


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)


@app.command()
def doctor() -> None:
    """Shows the versions and whether the slide reader, its threads and a GPU are there."""
    from ats_mag.doctor import findings

    table = Table(show_header=False, box=None)
    sound = True
    for name, value, good in findings():
        sound = sound and good
        table.add_row(name, value if good else f"[red]{_escape(value)}")
    console.print(table)
    if not sound:
        raise typer.Exit(1)


@app.command()
def info(
    slide: Annotated[Path, typer.Argument(help="A slide file.")],
    mpp: Annotated[
        str | None, typer.Option(help='Resolution of level 0, um/px or "20x", over the file\'s own.')
    ] = None,
) -> None:
    """Shows what a slide file says of itself."""
    from ats_mag.slides.properties import slide_info
    from ats_mag.units import format_mpp, parse_mpp

    found = slide_info(slide, None if mpp is None else parse_mpp(mpp))
    table = Table(show_header=False, box=None)
    table.add_row("vendor", found.vendor or "unknown")
    table.add_row("size", "{} x {} px".format(*found.dimensions))
    if found.mpp is not None:
        table.add_row("resolution", f"{format_mpp(found.mpp)}, from {found.mpp_source}")
    else:
        table.add_row("resolution", f"[yellow]{_escape(found.mpp_problem or 'unknown: give it as mpp')}")
    table.add_row("objective power", "not stated" if found.objective_power is None else f"{found.objective_power:g}")
    for level, (size, downsample) in enumerate(zip(found.level_dimensions, found.level_downsamples, strict=True)):
        at = "" if found.level_mpp is None else f", {found.level_mpp[level]:.4g} um/px"
        table.add_row(
            f"level {level}",
            f"{size[0]} x {size[1]} px, downsample {downsample:.4g}{at}; reader: {found.level_readers[level]}",
        )
    table.add_row("bounds", "x {}, y {}, {} x {} px".format(*found.bounds))
    table.add_row("background", "#{:02x}{:02x}{:02x}".format(*found.background))
    console.print(table, highlight=False)


@app.command()
def prepare(
    manifest: Annotated[Path, typer.Argument(help="CSV: slide_id, patient_id, path, label; optional mpp, split.")],
    out: Annotated[Path, typer.Argument(help="Folder of the records.")],
    slide_root: SlideRoot = Path("."),
    overview_mpp: OverviewMpp = "8.0",
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; default: one per CPU.")] = None,
    empty_mask: Annotated[
        str, typer.Option(help="A slide without tissue is an 'error', or look at the 'whole'.")
    ] = "error",
) -> None:
    """Writes one record per slide: overview, tissue mask, geometry and label, but no patches."""
    from rich.progress import track

    from ats_mag.manifest import read_manifest
    from ats_mag.preparation import prepare as run

    table = read_manifest(manifest)
    done = list(
        track(run(table, slide_root, out, overview_mpp, workers, empty_mask), "Preparing", len(table), console=errors)
    )
    failed = [p for p in done if p.error is not None]
    for p in sorted(failed, key=lambda p: p.slide_id):
        errors.print(
            f"[bold red]failed:[/] {_escape(p.slide_id)}: {_escape(p.error or '')}", soft_wrap=True, highlight=False
        )
    sizes = [p.bytes for p in done if p.error is None]
    counts = ", ".join(f"{sum(p.status == s for p in done)} {s}" for s in ("written", "kept", "failed"))
    mean = f"; {sum(sizes) / len(sizes) / 1000:.1f} kB per slide" if sizes else ""
    console.print(f"{len(done)} slides: {counts}{mean}", highlight=False)
    if failed:
        raise typer.Exit(1)


@app.command()
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
) -> None:
    """Trains a model on prepared records, reading patches from the slide files."""
    values: dict[str, Any] = dict(locals())
    for name in ("records", "out", "slide_root", "split", "validation_split"):
        values.pop(name)
    values["magnifications"] = values.pop("magnification")
    from ats_mag.training import TrainSettings
    from ats_mag.training import train as run

    settings = TrainSettings(**values)
    from ats_mag.progress import FitProgress

    run(records, slide_root, out, settings, split, validation_split, [FitProgress(errors)])
    console.print(f"wrote {out / 'model.keras'}", highlight=False)


@app.command()
def evaluate(
    model: Annotated[Path, typer.Argument(help="A .keras file.")],
    records: Annotated[Path, typer.Argument(help="Folder of the records.")],
    slide_root: SlideRoot = Path("."),
    split: Annotated[str | None, typer.Option(help="Evaluate the records of this split; default: all.")] = None,
    out: Annotated[Path | None, typer.Option(help="CSV of the predictions to write.")] = None,
) -> None:
    """Measures a model on prepared records."""
    from ats_mag.records import find_records
    from ats_mag.saving import load_model
    from ats_mag.training import evaluate as run

    found = find_records(records, split)
    table, measures = run(load_model(model, compile=False), found, slide_root)
    if out is not None:
        _write_csv(table, out)
    shown = Table(show_header=False, box=None)
    for name, value in measures.items():
        shown.add_row(name, f"{value:.4g}")
    console.print(shown)


@app.command()
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
        _write_csv(table, out)


@app.command()
def export(
    model: Annotated[Path, typer.Argument(help="A .keras file.")],
    out: Annotated[Path, typer.Argument(help="Folder of the SavedModel; a second one goes to OUT-stock.")],
) -> None:
    """Writes two SavedModels: by slide path, and without the op for a stock server."""
    from ats_mag.saving import load_model

    for folder in load_model(model, compile=False).export(out):
        console.print(f"wrote {folder}", highlight=False)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder of everything the demo makes.")] = Path("demo-run"),
    seed: Annotated[int, typer.Option(help="Of slides and training.")] = 0,
) -> None:
    """Makes slides, trains on them, exports, reloads, and draws what the model looked at."""
    from ats_mag.demo.run import run

    run(out, seed, console)


def _write_csv(table: Any, path: Path) -> None:
    """Whole or not at all."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    table.to_csv(unfinished, index=False)
    os.replace(unfinished, path)
    console.print(f"wrote {path}", highlight=False)


if __name__ == "__main__":
    main()
