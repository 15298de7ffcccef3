"""Finds cancer on at most 2 % of the tissue, from slide labels alone: the model against three baselines.

Reads slides made by `data_prep.synthetic_slides`, prepares their records, trains a `SlideClassifier` end to end from
the slide files, and compares its test AUC with

- `colour`: logistic regression on colour statistics of the slide's tissue at 8 um/px,
- `overview`: a small convolutional network on the overview that the attention network sees,
- `uniform`: the same classifier with the same number of patches, its attention frozen uniform over the tissue,
- `start`: the same, its attention frozen as it starts: on what stands out of the slide.

    python -m experiments.crc_tiles runs/crc-tiles --out experiments/results/crc_tiles.json

Each part (a baseline, the model) is kept in the run's folder as it is done; an interrupted run takes up from there.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import keras
import tensorflow as tf
import typer
from rich.console import Console

import ats_mag
from experiments.common.result_files import RESULTS, write_plain
from experiments.common.table import show
from experiments.crc_tiles.baselines import colour_baseline, overview_baseline
from experiments.crc_tiles.data import Cohort, places_share
from experiments.crc_tiles.settings import Settings
from experiments.crc_tiles.train import train


def kept(folder: Path, name: str, settings: Settings, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The result of a part of the run: as it was kept of the same settings, or made now."""
    file = folder / f"{name}.json"
    wanted = settings.model_dump(mode="json")
    if file.exists() and (found := json.loads(file.read_text()))["settings"] == wanted:
        return found["result"]
    Console().print(f"[bold]{name}[/bold]")
    result = make()
    file.write_text(json.dumps({"settings": wanted, "result": result}, indent=1))
    return result


def main(
    slides: Annotated[Path, typer.Argument(help="Folder made by data_prep.synthetic_slides.")] = Path("runs/crc-tiles"),
    out: Annotated[Path, typer.Option(help="Where the measures go.")] = RESULTS / "crc_tiles.json",
    run: Annotated[Path | None, typer.Option(help="Folder of the parts and the model. [default: SLIDES/run]")] = None,
    n_patches: Annotated[int, typer.Option(help="N, patches per slide.")] = Settings().n_patches,
    steps: Annotated[int, typer.Option(help="Of training.")] = Settings().steps,
    seed: Annotated[int, typer.Option(help="Of weights, order and draws.")] = 0,
    stand_out: Annotated[float, typer.Option(help="Of the attention's start; 0: uniform.")] = Settings().stand_out,
    overview_mpp: Annotated[float, typer.Option(help="um/px of the overview.")] = Settings().overview_mpp,
    snap: Annotated[bool, typer.Option(help="Whether patches move onto the tile grid.")] = Settings().snap,
    only: Annotated[list[str] | None, typer.Option(help="Parts to make now, without the report.")] = None,
    quick: Annotated[bool, typer.Option(help="A few steps only, to see that all works.")] = False,
) -> None:
    """Trains the model and the baselines, and writes what they measure."""
    settings = Settings(
        n_patches=n_patches, steps=steps, seed=seed, stand_out=stand_out, overview_mpp=overview_mpp, snap=snap
    )
    if quick:
        settings = settings.model_copy(update={"steps": 20, "overview_steps": 20, "uniform_passes": 2})
    folder = run or slides / "run"
    folder.mkdir(parents=True, exist_ok=True)
    cohort = Cohort(slides, settings)
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "colour": lambda: colour_baseline(cohort),
        "overview": lambda: overview_baseline(cohort),
        "model": lambda: train(cohort, folder),
        "uniform": lambda: train(cohort, folder, "uniform"),
        "start": lambda: train(cohort, folder, "start"),
    }
    results = {name: kept(folder, name, settings, make) for name, make in parts.items() if not only or name in only}
    if only:
        return
    report = {
        "experiment": "crc_tiles",
        "settings": settings.model_dump(mode="json"),
        "slides": json.loads((slides / "cohort.json").read_text()),
        "places_share_of_tissue": places_share(cohort),
        "machine": {"processor": platform.machine(), "cpus": os.cpu_count(), "python": platform.python_version()},
        "versions": {"ats_mag": ats_mag.__version__, "tensorflow": tf.__version__, "keras": keras.__version__},
        "test_auc": {
            n: dict(zip(("auc", "low", "high"), (r["auc"], *r["auc_95"]), strict=True)) for n, r in results.items()
        },
        "results": results,
    }
    write_plain(out, report)
    rows = [[name, f"{r['auc']:.3f}", "{:.3f} to {:.3f}".format(*r["auc_95"])] for name, r in results.items()]
    show(f"{len(cohort.labels['test'])} test slides", ["", "test AUC", "95 %"], rows)
