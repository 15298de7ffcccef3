"""The main job on made slides, as a user does it: plan, prepare, train, evaluate; then export, reload and look."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ats_mag.config.reading import read_config
from ats_mag.config.schema import RunConfig
from ats_mag.demo.cohort import make_cohort, read_places
from ats_mag.demo.figure import draw_figure
from ats_mag.demo.slides import COARSE_DOWNSAMPLE, MPP, Place
from ats_mag.evaluation.baseline import COLOUR, MAJORITY
from ats_mag.evaluation.evaluate import evaluate_fold
from ats_mag.geometry.lattice import Lattice
from ats_mag.model.classifier import SlideClassifier
from ats_mag.model.saving import load_model
from ats_mag.model.slide_inputs import slide_inputs
from ats_mag.pictures.inspected_slide import inspect_slide
from ats_mag.planning.plan import plan
from ats_mag.records.dataset import dataset
from ats_mag.records.record import find_records
from ats_mag.report.page import write_report
from ats_mag.runs.prepare_run import prepare_run
from ats_mag.runs.run import Run
from ats_mag.training.fit import train_fold
from ats_mag.training.progress_bar import FitProgress

Records: TypeAlias = list[dict[str, Any]]  # as of `find_records`
Item = TypeVar("Item")

MAGNIFICATION_OF = {"fine": MPP, "coarse": MPP * COARSE_DOWNSAMPLE}  # um/px at which each kind's cue is seen


def run(
    out: Path,
    seed: int,
    console: Console,
    n_train: int = 160,
    n_test: int = 60,
    control: bool = False,
    results: Path | None = None,
    **known: Any,
) -> dict[str, Any]:
    """Makes slides, plans, prepares, trains, evaluates, exports, reloads in a new process, and draws one figure.

    What is there already is kept, so an interrupted demo goes on.

    Args:
        out: folder of everything that is made.
        seed: of slides and training.
        console: where to report.
        n_train, n_test: slides of each split.
        control: whether to train with uniform draws, too, for comparison.
        results: JSON of the measures to write. None: `out / "results.json"`.
        **known: keys of the configuration that `plan` is given. None: it chooses all.

    Returns:
        The measures.
    """
    seconds: dict[str, float] = {}
    with _timed("making slides", seconds, console):
        _wait(make_cohort(out, seed, n_train, n_test), n_train + n_test, console)
    config = out / "config.yaml"
    with _timed("plan", seconds, console):
        if not config.exists():
            planned = plan(out / "manifest.csv", out / "slides", **{"train.seed": seed, **known})
            config.write_text(planned.text(out))
    settings = read_config(config)
    model = settings.model
    console.print(
        f"  magnifications {', '.join(f'{mpp:g}' for mpp in model.magnifications)} um/px, {model.n_patches} patches of "
        f"{model.patch_size} px; every choice has its reason in {config}",
        highlight=False,
        markup=False,
    )
    joint = Run.open(settings)
    with _timed("prepare", seconds, console):
        prepared = _wait(prepare_run(joint), len(joint.manifest), console)
    failed = [p.error for p in prepared if p.error]
    if failed:
        raise RuntimeError(f"preparing failed for {len(failed)} slides, the first: {failed[0]}")
    measured = _train_and_evaluate(joint, "train", seconds, console)
    compared = {"joint attention sampling": measured}
    if control:
        uniform = Run.open(uniform_control(settings))
        compared["uniform sampling, same N"] = _train_and_evaluate(uniform, "train uniform sampling", seconds, console)
    with _timed("export, reload and look", seconds, console):
        found = _look(out, joint)
    found = {
        "seed": seed,
        "slides": {"train": n_train, "test": n_test},
        "planned": settings.model_dump(
            mode="json", include={"prepare": {"overview_mpp"}, "model": True, "train": True}
        ),
        "record_bytes_per_slide": float(np.mean([p.bytes for p in prepared])),
        "test_accuracy": {
            **{name: of["slides"]["measures"]["accuracy"]["value"] for name, of in compared.items()},
            "colour histograms of the overview": measured["baseline"][COLOUR]["slides"]["accuracy"],
            "majority class": measured["baseline"][MAJORITY]["slides"]["accuracy"],
        },
        "test_auc": {name: of["slides"]["measures"]["auroc"]["value"] for name, of in compared.items()},
        "attention": measured["attention"],
        **found,
        "seconds": {**seconds, "all": sum(seconds.values())},
        "machine": {"cpus": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()},
        "versions": {"tensorflow": tf.__version__, "keras": keras.__version__},
    }
    results = results or out / "results.json"
    results.write_text(json.dumps(found, indent=2) + "\n")
    _report(found, out, write_report(joint), console)
    return found


def uniform_control(settings: RunConfig) -> RunConfig:
    """The same run with an attention that stays uniform over the tissue, from which patches are drawn at test, too."""
    model = settings.model.model_copy(update={"saliency": 0.0, "test_method": "priority"})
    train = settings.train.model_copy(update={"hold_attention": 1.0})
    prepare = settings.prepare.model_copy(update={"records": settings.records})
    run = settings.run.with_name("run-uniform")
    return settings.model_copy(update={"run": run, "model": model, "train": train, "prepare": prepare})


def cells_of_places(
    places: list[Place], kind: str, lattice: Lattice, geometry: np.ndarray, shape: tuple[int, int]
) -> np.ndarray:
    """Which cells `(H, W)` have their centre inside a place of that kind."""
    x, y = lattice.centres(geometry, shape)
    inside = np.zeros(shape, bool)
    for place in places:
        if place.kind == kind:
            inside |= np.hypot(x[None, :] - place.x, y[:, None] - place.y) < place.radius
    return inside


@contextmanager
def _timed(name: str, seconds: dict[str, float], console: Console) -> Iterator[None]:
    console.print(f"{name[0].upper()}{name[1:]}", highlight=False, markup=False)
    before = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - before


def _wait(items: Iterable[Item], count: int, console: Console) -> list[Item]:
    return list(track(items, "", count, console=console, disable=not console.is_terminal, transient=True))


def _train_and_evaluate(run: Run, name: str, seconds: dict[str, float], console: Console) -> dict[str, Any]:
    """The measures of fold 0, the only one, as the manifest divides the slides."""
    with _timed(name, seconds, console):
        train_fold(run, 0, [FitProgress(console)])
        return evaluate_fold(run, 0)


def _look(out: Path, run: Run) -> dict[str, Any]:
    """Where the attention lies, whether the exported model says the same elsewhere, and the figure."""
    model, places, slides = load_model(run.layout.fold(0).model), read_places(out), run.config.data.slides
    test = set(run.test_slides(0)["slide_id"])
    records = [record for record in find_records(run.config.records) if record["slide_id"] in test]
    found = {
        "attention_on_places": _local_shares(model, records, slides, places),
        "largest_difference_after_reload": _export_and_reload(model, out, records, slides),
    }
    shown = [next(r for r in records if r["label"] == label) for label in ("fine", "coarse", "none")]
    inspected = [inspect_slide(model, slides / r["path"]) for r in shown]
    draw_figure(out / "figure.png", inspected, [r["label"] for r in shown], [places[r["slide_id"]] for r in shown])
    return found


def _local_shares(
    model: SlideClassifier, records: Records, slides: Path, places: dict[str, list[Place]]
) -> dict[str, dict[str, float]]:
    """Per kind of place: the attention that falls on it, and the share of that on the magnification of its cue."""
    mass = {kind: np.zeros(len(model.magnifications)) for kind in MAGNIFICATION_OF}
    for record, inputs in zip(records, dataset(records, slides, None, 1), strict=True):
        attention = np.asarray(model.attend(inputs)[0])
        for kind, of_kind in mass.items():
            here = places[record["slide_id"]]
            inside = cells_of_places(here, kind, model.lattice, np.asarray(inputs["geometry"][0]), attention.shape[:2])
            of_kind += attention[inside].sum(axis=0)
    return {
        kind: {
            "attention": float(of_kind.sum() / len(records)),
            "share_on_its_magnification": float(
                of_kind[model.magnifications.index(MAGNIFICATION_OF[kind])] / of_kind.sum()
            ),
        }
        for kind, of_kind in mass.items()
    }


def _export_and_reload(model: SlideClassifier, out: Path, records: Records, slide_root: Path) -> float:
    """Exports; the largest difference of probabilities predicted by the SavedModel in a new process."""
    for folder in ("savedmodel", "savedmodel-stock"):
        shutil.rmtree(out / folder, ignore_errors=True)
    model.export(out / "savedmodel")
    slides = [str(slide_root / r["path"]) for r in records[:6]]
    table = out / "reloaded.csv"
    command = [sys.executable, "-m", "ats_mag.cli", "predict", str(out / "savedmodel"), *slides]
    with open(table, "w") as printed:
        subprocess.run(command, check=True, stdout=printed, stderr=subprocess.DEVNULL)
    again = pd.read_csv(table)[[f"p_{name}" for name in model.classes]].to_numpy()
    here = [
        np.asarray(
            model(slide_inputs([slide], model.lattice.overview_mpp, model.overview_multiple, tissue=model.tissue))
        )
        for slide in slides
    ]
    return float(np.abs(again - np.concatenate(here)).max())


def _report(found: dict[str, Any], out: Path, page: Path, console: Console) -> None:
    table = Table("test accuracy", "", box=None)
    for name, value in found["test_accuracy"].items():
        table.add_row(name, f"{value:.3f}")
    console.print(table)
    lines = [
        f"{shares['attention']:.2f} of the attention falls on {kind} places, {shares['share_on_its_magnification']:.2f} of that at "
        "their magnification"
        for kind, shares in found["attention_on_places"].items()
    ]
    lines.append(f"SavedModel in a new process: probabilities within {found['largest_difference_after_reload']:.1e}")
    lines.append(f"{found['seconds']['all']:.0f} s; look at {out / 'figure.png'} and {page}")
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
