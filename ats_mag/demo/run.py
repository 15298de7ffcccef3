"""The main job from slides to an exported model, on made slides, beside its controls."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ats_mag.backend import channels_last
from ats_mag.cohort.manifest import read_manifest
from ats_mag.demo.cohort import make_cohort, read_places
from ats_mag.demo.figure import draw_figure
from ats_mag.demo.slides import CLASSES, Place
from ats_mag.evaluation.evaluate import evaluate
from ats_mag.geometry.lattice import Lattice
from ats_mag.model.built_in_networks import attention_network, feature_network
from ats_mag.model.classifier import SlideClassifier
from ats_mag.model.recipe import Recipe
from ats_mag.model.slide_inputs import slide_inputs
from ats_mag.pictures.inspected_slide import inspect_slide
from ats_mag.preparation import prepare
from ats_mag.records.dataset import dataset
from ats_mag.records.record import find_records
from ats_mag.slides.tissue_options import OTSU
from ats_mag.training.progress_bar import FitProgress

Records: TypeAlias = list[dict[str, Any]]  # as of `find_records`
Value = TypeVar("Value")

MAGNIFICATIONS = ("20x", "5x")
KIND_OF_MAGNIFICATION = ("fine", "coarse")
OVERVIEW_MPP = 16.0
STRIDE = 2
PATCH_SIZE = 32
N_PATCHES = 16
BATCH_SIZE = 16
RECIPE = Recipe(sharpen_at=(5 / 8, 13 / 16))


def run(
    out: Path,
    seed: int,
    console: Console,
    n_train: int = 240,
    n_test: int = 75,
    steps: int = 800,
    results: Path | None = None,
) -> dict[str, Any]:
    """Makes slides, prepares, trains, evaluates, exports, reloads in a new process, and draws one figure.

    Args:
        out: folder of everything that is made; slides and records that are there are kept.
        seed: of slides and training.
        console: where to report.
        n_train, n_test: slides of each split.
        steps: training steps of the model and of each control.
        results: JSON of the measures to write. None: `out / "results.json"`.

    Returns:
        The measures.
    """
    started = time.perf_counter()
    for _ in track(make_cohort(out, seed, n_train, n_test), "Making slides", n_train + n_test, console=console):
        pass
    manifest = read_manifest(out / "manifest.csv")
    prepared = list(
        track(
            prepare(manifest, out / "slides", out / "records", OVERVIEW_MPP, tissue=OTSU),
            "Preparing",
            len(manifest),
            console=console,
        )
    )
    failed = [p.error for p in prepared if p.error]
    if failed:
        raise RuntimeError(f"preparing failed for {len(failed)} slides, the first: {failed[0]}")
    seconds = {"slides and records": time.perf_counter() - started}
    train_records, test_records = (find_records(out / "records", split) for split in ("train", "test"))
    epochs = -(-steps * BATCH_SIZE // n_train)

    def timed(name: str, job: Callable[[], Value]) -> Value:
        console.print(f"Training: {name}", highlight=False, markup=False)
        before = time.perf_counter()
        value = job()
        seconds[name] = time.perf_counter() - before
        return value

    data = dataset(train_records, out / "slides", CLASSES, BATCH_SIZE, shuffle=True, seed=seed)
    model = timed("joint attention sampling", lambda: _fit(_build(seed, steps), data, epochs, steps, console))
    uniform = timed("uniform sampling", lambda: _fit(_build(seed, steps, uniform=True), data, epochs, steps, console))
    overview_accuracy = timed(
        "overview alone", lambda: _overview_accuracy(data, test_records, out / "slides", epochs, seed, console)
    )

    _, measures = evaluate(model, test_records, out / "slides")
    _, uniform_measures = evaluate(uniform, test_records, out / "slides")
    counts = pd.Series([r["label"] for r in test_records]).value_counts()
    places = read_places(out)
    shares = _local_shares(model, test_records, out / "slides", places)
    reloaded = _export_and_reload(model, out, test_records)
    found = {
        "seed": seed,
        "slides": {"train": n_train, "test": n_test},
        "record_bytes_per_slide": float(np.mean([p.bytes for p in prepared])),
        "test_accuracy": {
            "joint attention sampling": measures["accuracy"],
            "uniform sampling, same N": uniform_measures["accuracy"],
            "overview alone": overview_accuracy,
            "majority class": float(counts.max() / counts.sum()),
        },
        "test_auc": {
            "joint attention sampling": measures["auroc"],
            "uniform sampling, same N": uniform_measures["auroc"],
        },
        "attention_on_places": shares,
        "largest_difference_after_reload": reloaded,
        "seconds": {**seconds, "all": time.perf_counter() - started},
        "training": {"steps": steps, "batch": BATCH_SIZE, "patches": N_PATCHES, "patch_size": PATCH_SIZE},
        "machine": {"cpus": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()},
        "versions": {"tensorflow": tf.__version__, "keras": keras.__version__},
    }
    results = results or out / "results.json"
    results.write_text(json.dumps(found, indent=2) + "\n")
    _draw(model, out, test_records, places)
    _report(found, out, console)
    return found


def _build(seed: int, steps: int, uniform: bool = False) -> SlideClassifier:
    keras.utils.set_random_seed(seed)
    attention = attention_network(len(MAGNIFICATIONS), STRIDE)
    if uniform:  # its last layer starts at 0, so frozen it is uniform over the tissue
        attention.trainable = False
    model = SlideClassifier(
        CLASSES,
        MAGNIFICATIONS,
        PATCH_SIZE,
        N_PATCHES,
        OVERVIEW_MPP,
        attention=attention,
        tissue=OTSU,  # with which the numbers of the documentation were measured
        feature=feature_network(PATCH_SIZE),
        method="priority",
        explore_steps=RECIPE.explore(steps),
        test_method="sequential" if uniform else "topk",
        regularizers=RECIPE.regularizers(),
        seed=seed,
    )
    model.compile(RECIPE.optimizer(steps))
    return model


def _fit(model: SlideClassifier, data: tf.data.Dataset, epochs: int, steps: int, console: Console) -> SlideClassifier:
    callbacks = [*RECIPE.callbacks(steps), FitProgress(console)]
    model.fit(data, epochs=epochs, shuffle=False, verbose=0, callbacks=callbacks)
    return model


@channels_last()
def _overview_accuracy(
    data: tf.data.Dataset, test_records: Records, slide_root: Path, epochs: int, seed: int, console: Console
) -> float:
    """Test accuracy of a convolutional network on the overview alone."""
    keras.utils.set_random_seed(seed)
    x = inputs = keras.Input((None, None, 3))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(x)
    for filters in (16, 32, 64):
        x = keras.layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.GlobalMaxPooling2D()(x)
    network = keras.Model(inputs, keras.layers.Dense(len(CLASSES), activation="softmax")(x))
    network.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    callbacks = [FitProgress(console)]
    network.fit(data.map(lambda x, y: (x["overview"], y)), epochs=epochs, shuffle=False, verbose=0, callbacks=callbacks)
    test = dataset(test_records, slide_root, CLASSES)
    return float(network.evaluate(test.map(lambda x, y: (x["overview"], y)), verbose=0, return_dict=True)["accuracy"])


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


def _local_shares(
    model: SlideClassifier, records: Records, slide_root: Path, places: dict[str, list[Place]]
) -> dict[str, dict[str, float]]:
    """Per kind of place: the attention that falls on it, and the share of that on the magnification of its cue."""
    mass = np.zeros((len(KIND_OF_MAGNIFICATION), len(model.magnifications)))
    start = 0
    for inputs in dataset(records, slide_root, None):
        attention = np.asarray(model.attend(inputs))
        for i, one in enumerate(attention):
            here = places[records[start + i]["slide_id"]]
            for k, kind in enumerate(KIND_OF_MAGNIFICATION):
                inside = cells_of_places(here, kind, model.lattice, np.asarray(inputs["geometry"][i]), one.shape[:2])
                mass[k] += one[inside].sum(axis=0)
        start += len(attention)
    return {
        kind: {
            "attention": float(mass[k].sum() / start),
            "share_on_its_magnification": float(mass[k, k] / mass[k].sum()),
        }
        for k, kind in enumerate(KIND_OF_MAGNIFICATION)
    }


def _export_and_reload(model: SlideClassifier, out: Path, test_records: Records) -> float:
    """Saves and exports; the largest difference of probabilities predicted by the SavedModel in a new process."""
    import shutil

    for folder in ("savedmodel", "savedmodel-stock"):
        shutil.rmtree(out / folder, ignore_errors=True)
    model.save(out / "model.keras")
    model.export(out / "savedmodel")
    slides = [str(out / "slides" / r["path"]) for r in test_records[:6]]
    table = out / "reloaded.csv"
    command = [sys.executable, "-m", "ats_mag.cli", "predict", str(out / "savedmodel"), *slides]
    with open(table, "w") as printed:
        subprocess.run(command, check=True, stdout=printed, stderr=subprocess.DEVNULL)
    again = pd.read_csv(table)[[f"p_{name}" for name in CLASSES]].to_numpy()
    inputs = slide_inputs(slides, OVERVIEW_MPP, STRIDE, tissue=OTSU)
    return float(np.abs(again - np.asarray(model(inputs))).max())


def _draw(model: SlideClassifier, out: Path, records: Records, places: dict[str, list[Place]]) -> None:
    shown = [next(r for r in records if r["label"] == label) for label in ("fine", "coarse", "none")]
    inspected = [inspect_slide(model, out / "slides" / r["path"]) for r in shown]
    draw_figure(out / "figure.png", inspected, [r["label"] for r in shown], [places[r["slide_id"]] for r in shown])


def _report(found: dict[str, Any], out: Path, console: Console) -> None:
    table = Table("test accuracy", "", box=None)
    for name, value in found["test_accuracy"].items():
        table.add_row(name, f"{value:.3f}")
    console.print(table)
    for kind, shares in found["attention_on_places"].items():
        console.print(
            f"{shares['attention']:.2f} of the attention falls on {kind} places, "
            f"{shares['share_on_its_magnification']:.2f} of that at their magnification",
            highlight=False,
            markup=False,
        )
    console.print(f"SavedModel in a new process: probabilities within {found['largest_difference_after_reload']:.1e}")
    console.print(
        f"{found['seconds']['all']:.0f} s; wrote {out / 'figure.png'} and {out / 'model.keras'}",
        highlight=False,
        markup=False,
    )
