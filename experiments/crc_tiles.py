"""Finds cancer on at most 2 % of the tissue, from slide labels alone: the model against three baselines.

Reads slides made by `data_prep/synthetic_slides.py`, prepares their records, trains a `SlideClassifier` end to end from
the slide files, and compares its test AUC with

- `colour`: logistic regression on colour statistics of the slide's tissue at 8 um/px,
- `overview`: a small convolutional network on the overview that the attention network sees,
- `uniform`: the same classifier with the same number of patches, its attention frozen uniform over the tissue,
- `start`: the same, its attention frozen as it starts: on what stands out of the slide.

    python experiments/crc_tiles.py runs/crc-tiles --out experiments/results/crc_tiles.json

Each part (a baseline, the model) is kept in the run's folder as it is done; an interrupted run takes up from there.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
import typer
from crc_tiles_model import CLASSES, Attention, Settings, classifier
from keras import layers
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import ats_mag
from ats_mag.geometry.lattice import Lattice
from ats_mag.records.record import find_records
from ats_mag.slides.tissue import tissue_mask

THUMBNAIL_MPP = 8.0  # um/px of the colour statistics
console = Console()


class Cohort:
    """The slides, their records and their places.

    Args:
        folder: as `data_prep/synthetic_slides.py` wrote it.
        settings: of the run; the records are prepared for its `overview_mpp`.
    """

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder, self.settings = folder, settings
        records = folder / f"records-{settings.overview_mpp:g}"
        manifest = ats_mag.read_manifest(folder / "manifest.csv")
        failed = [done for done in ats_mag.prepare(manifest, folder, records, settings.overview_mpp, 2) if done.error]
        if failed:
            raise RuntimeError(f"{len(failed)} slides could not be prepared, the first: {failed[0]}")
        self.places = json.loads((folder / "places.json").read_text())
        self.records = {split: find_records(records, split) for split in ("train", "test")}
        self.labels = {s: np.array([CLASSES.index(r["label"]) for r in found]) for s, found in self.records.items()}

    def dataset(self, split: str, shuffle: bool = False) -> tf.data.Dataset:
        """Batches of the slides of a split, labels `(B, 1)`; shuffled ones never end."""
        found = ats_mag.dataset(
            self.records[split],
            self.folder,
            CLASSES,
            self.settings.batch_size,
            shuffle=shuffle,
            seed=self.settings.seed,
        )
        found = found.map(lambda inputs, label: (inputs, label[:, None]))
        return found.repeat() if shuffle else found

    def tissue_um2(self, split: str) -> np.ndarray:
        """Area of each slide's tissue."""
        tile_um2 = 112.0**2
        return np.array([self.places[r["slide_id"]]["tissue_tiles"] * tile_um2 for r in self.records[split]])


def colour_baseline(cohort: Cohort) -> dict[str, Any]:
    """Logistic regression on means, deviations and histograms of the tissue's colour."""

    def statistics(record: dict[str, Any]) -> np.ndarray:
        image = ats_mag.read_overview(str(cohort.folder / record["path"]), THUMBNAIL_MPP)
        pixels = image.numpy()[tissue_mask(image).numpy()].astype("float32")
        shares = [np.histogram(pixels[:, c], 32, (0, 256))[0] / len(pixels) for c in range(3)]
        correlation = np.corrcoef(pixels.T)[np.triu_indices(3, 1)]
        return np.concatenate([pixels.mean(0), pixels.std(0), correlation, *shares])

    data = {s: np.stack([statistics(r) for r in records]) for s, records in cohort.records.items()}
    grid = {"C": np.logspace(-4, 1, 6)}
    search = GridSearchCV(LogisticRegression(max_iter=2000), grid, scoring="roc_auc", cv=5)
    model = make_pipeline(StandardScaler(), search).fit(data["train"], cohort.labels["train"])
    return measure(cohort.labels["test"], model.decision_function(data["test"]))


def overview_baseline(cohort: Cohort) -> dict[str, Any]:
    """A small convolutional network that sees the overview alone, turned and mirrored at random."""
    settings = cohort.settings
    keras.utils.set_random_seed(settings.seed)

    def load(split: str) -> np.ndarray:
        parts = [inputs["overview"].numpy() for inputs, _ in cohort.dataset(split)]
        side = max(part.shape[axis] for part in parts for axis in (1, 2))
        pads = [((0, 0), (0, side - p.shape[1]), (0, side - p.shape[2]), (0, 0)) for p in parts]
        return np.concatenate([np.pad(p, pad, constant_values=255) for p, pad in zip(parts, pads, strict=True)])

    x = inputs = keras.Input((None, None, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(x)
    for width, stride in ((16, 1), (32, 2), (64, 1), (64, 2)):
        x = layers.Conv2D(width, 3, strides=stride, padding="same", use_bias=False)(x)
        x = layers.GroupNormalization(8)(x)
        x = layers.ReLU()(x)
    x = layers.Concatenate()([layers.GlobalAveragePooling2D()(x), layers.GlobalMaxPooling2D()(x)])
    outputs = layers.Dense(1, activation="sigmoid")(layers.Dropout(0.3)(x))
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.AdamW(1e-3, weight_decay=1e-3), "binary_crossentropy")
    train, test = load("train"), load("test")
    rng = np.random.default_rng(settings.seed)
    for _ in range(settings.overview_steps):
        chosen = rng.integers(len(train), size=32)
        images = np.rot90(train[chosen], rng.integers(4), (1, 2))[:, :: rng.choice([-1, 1])]
        model.train_on_batch(images.astype("float32"), cohort.labels["train"][chosen][:, None])
    scores = {s: model.predict(x.astype("float32"), verbose=0)[:, 0] for s, x in (("train", train), ("test", test))}
    result = measure(cohort.labels["test"], scores["test"])
    return result | {"train_auc": float(roc_auc_score(cohort.labels["train"], scores["train"]))}


class _Progress(keras.callbacks.Callback):
    """Prints a line per epoch: loss, AUC, entropy and, as a watch that training never sees, attention on the places."""

    def __init__(self, cohort: Cohort) -> None:
        super().__init__()
        self.cohort = cohort
        self.history: list[dict[str, float]] = []
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        values = {name: round(float(value), 4) for name, value in (logs or {}).items()}
        inputs, _ = next(iter(self.cohort.dataset("train")))
        attention = self.model.attend(inputs).numpy()
        on_places = place_mass(self.cohort, "train", attention).sum(-1).mean()
        values |= {"train_on_places": round(float(on_places), 4), "seconds": round(time.perf_counter() - self.start)}
        self.history.append({"step": int(self.model.optimizer.iterations), **values})
        console.print(self.history[-1])


def place_mass(cohort: Cohort, split: str, attention: Iterable[np.ndarray]) -> np.ndarray:
    """Attention whose cell has its centre in a recorded place: `(B, M)`.

    Args:
        cohort: of the slides.
        split: of the slides.
        attention: `(H, W, M)` of the first B slides of the split.
    """
    settings = cohort.settings
    lattice = Lattice(settings.overview_mpp, settings.stride, settings.magnifications, settings.patch_size)
    masses = []
    for record, here in zip(cohort.records[split], attention, strict=False):
        column, row = lattice.centres(record["geometry"], here.shape[:2])
        inside = np.zeros(here.shape[:2], dtype=bool)
        for place in cohort.places[record["slide_id"]]["places"]:
            rows = (row >= place["y"]) & (row < place["y"] + place["side"])
            inside |= rows[:, None] & (column >= place["x"]) & (column < place["x"] + place["side"])
        masses.append(here[inside].sum(0))
    return np.array(masses)


def train(cohort: Cohort, folder: Path, attention: Attention = "learnt") -> dict[str, Any]:
    """Trains a classifier from the slide files and measures it on the test slides.

    Uniform attention draws at random at test, too: `auc` is then the mean of several passes, `auc_95` the first one's.
    """
    settings = cohort.settings
    model = classifier(settings, attention)
    progress = _Progress(cohort)
    per_epoch = min(50, settings.steps)
    model.fit(
        cohort.dataset("train", shuffle=True),
        epochs=settings.steps // per_epoch,
        steps_per_epoch=per_epoch,
        shuffle=False,  # the dataset does
        callbacks=[progress],
        verbose=0,
    )
    seconds = time.perf_counter() - progress.start
    if attention == "learnt":
        model.save(folder / "model.keras")
    n_passes = settings.uniform_passes if attention == "uniform" else 1
    passes = [model.predict(cohort.dataset("test"), verbose=0)[:, 0] for _ in range(n_passes)]
    results = [measure(cohort.labels["test"], scores) for scores in passes]
    result = results[0] | {"auc": float(np.mean([r["auc"] for r in results])), "passes": [r["auc"] for r in results]}
    result["auc_of_mean_score"] = float(roc_auc_score(cohort.labels["test"], np.mean(passes, axis=0)))
    maps = [a for inputs, _ in cohort.dataset("test") for a in model.attend(inputs).numpy()]
    by_magnification = np.mean([a.sum((0, 1)) for a in maps], axis=0).tolist()
    on_places = place_mass(cohort, "test", maps)
    return result | {
        "attention_on_places": float(on_places.sum(-1).mean()),
        "attention_on_places_by_class": {
            name: float(on_places[cohort.labels["test"] == i].sum(-1).mean()) for i, name in enumerate(CLASSES)
        },
        "magnification_mass": dict(zip(map(str, settings.magnifications), by_magnification, strict=True)),
        "read_per_step": read_share(cohort, "train"),
        "training_seconds": round(seconds),
        "history": progress.history,
    }


def read_share(cohort: Cohort, split: str) -> dict[str, float]:
    """Area of the N patches of a training step as a share of the slide's tissue, overlaps counted twice.

    `mean` and `largest` over the slides, with the N / M patches per magnification of stratified draws;
    `largest_if_coarse`: were all N patches of the coarsest magnification, as they may be at test.
    """
    settings = cohort.settings
    sides = [settings.patch_size * mpp for mpp in settings.magnifications]
    n, m = settings.n_patches, len(sides)
    area = sum((n // m + (i < n % m)) * side**2 for i, side in enumerate(sides))
    tissue = cohort.tissue_um2(split)
    return {
        "mean": float(np.mean(area / tissue)),
        "largest": float(area / tissue.min()),
        "largest_if_coarse": float(n * max(sides) ** 2 / tissue.min()),
    }


def measure(labels: np.ndarray, scores: np.ndarray, resamples: int = 2000) -> dict[str, Any]:
    """AUC with a 95 % interval by bootstrap over slides."""
    rng = np.random.default_rng(0)
    aucs = []
    while len(aucs) < resamples:
        chosen = rng.integers(len(labels), size=len(labels))
        if 0 < labels[chosen].sum() < len(labels):
            aucs.append(roc_auc_score(labels[chosen], scores[chosen]))
    low, high = np.quantile(aucs, [0.025, 0.975])
    return {"auc": float(roc_auc_score(labels, scores)), "auc_95": [float(low), float(high)]}


def kept(folder: Path, name: str, settings: Settings, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The result of a part of the run: as it was kept of the same settings, or made now."""
    file = folder / f"{name}.json"
    wanted = settings.model_dump(mode="json")
    if file.exists() and (found := json.loads(file.read_text()))["settings"] == wanted:
        return found["result"]
    console.print(f"[bold]{name}[/bold]")
    result = make()
    file.write_text(json.dumps({"settings": wanted, "result": result}, indent=1))
    return result


def main(
    slides: Annotated[Path, typer.Argument(help="Folder made by data_prep/synthetic_slides.py.")] = Path(
        "runs/crc-tiles"
    ),
    out: Annotated[Path, typer.Option(help="Where the measures go.")] = Path("experiments/results/crc_tiles.json"),
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
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(report, indent=1) + "\n")
    table = Table("", "test AUC", "95 %", title=f"{len(cohort.labels['test'])} test slides")
    for name, result in results.items():
        table.add_row(name, f"{result['auc']:.3f}", "{:.3f} to {:.3f}".format(*result["auc_95"]))
    console.print(table)


def places_share(cohort: Cohort) -> dict[str, float]:
    """Share of the tissue that the places of a slide take: mean and largest over all slides."""
    tile = 224  # level-0 pixels
    shares = [sum((p["side"] // tile) ** 2 for p in s["places"]) / s["tissue_tiles"] for s in cohort.places.values()]
    return {"mean": float(np.mean(shares)), "largest": max(shares)}


if __name__ == "__main__":
    typer.run(main)
