"""Every patch of every slide, encoded once by the run's frozen encoder, with gated attention pooling behind an adapter.

    python -m experiments.cohort_runs.all_patches CONFIG

Takes the records and the division of a run that was begun with this configuration, and its patches, adapter, epochs, batch and
learning rate. The epoch with the least validation loss is tested; without a validation part, the last.
"""

from __future__ import annotations

import hashlib
import sys
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

import ats_mag
from ats_mag.cli.show_measures import show_fold, warnings_shown_once
from ats_mag.cohort.splits import part_of
from ats_mag.config.reading import read_config
from ats_mag.config.schema import RunConfig
from ats_mag.evaluation.evaluate import measure_predictions
from ats_mag.evaluation.folds import across_folds
from ats_mag.model.classifier import SlideClassifier
from ats_mag.records.record import find_records
from ats_mag.runs.layout import RunLayout
from ats_mag.runs.run import Run
from ats_mag.training.build import build_model, recipe_of
from experiments.cohort_runs.results import ALL_FOLDER
from experiments.common.gated_attention import Bag, GatedAttention, Trainer, read_bags

HISTORY = "history.csv"
SECONDS = "seconds of a slide"  # beside the slides, in the file of what is encoded


def encode_slides(config: RunConfig, model: SlideClassifier, folder: Path) -> tuple[dict[str, np.ndarray], float]:
    """What the encoder says of all patches of each slide, `(n, E)`; kept in a file of `folder` for the next run.

    Returns:
        That, by slide, and the processor seconds that a slide took when it was encoded.
    """
    settings = config.model.model_dump_json(
        include={"encoder", "magnifications", "patch_size", "encoder_size", "stride"}
    )
    file = folder / f"encoded-{hashlib.sha256(settings.encode()).hexdigest()[:12]}.npz"
    if file.exists():
        with np.load(file) as kept:
            found = dict(kept)
        return found, float(found.pop(SECONDS))
    begun = time.process_time()
    records = find_records(config.records)
    slides = ats_mag.dataset(records, config.data.slides, None, 1)
    found = {
        record["slide_id"]: np.concatenate(
            [
                keras.ops.convert_to_numpy(model.feature.encode(bag.patches[i : i + 256]))
                for i in range(0, len(bag.patches), 256)
            ]
        )
        for record, bag in zip(records, read_bags(model, slides), strict=True)
    }
    seconds = (time.process_time() - begun) / len(found)
    np.savez(file, **found, **{SECONDS: seconds})
    return found, seconds


def train_on(
    config: RunConfig, bags: dict[str, list[np.ndarray]], labels: dict[str, np.ndarray], n_classes: int
) -> tuple[GatedAttention, pd.DataFrame]:
    """Trains on the part `train`, and takes the epoch that is best on the part `validation`, where there is one."""
    settings = config.train
    keras.utils.set_random_seed(settings.seed)
    dimension = bags["train"][0].shape[1]
    model = GatedAttention(n_classes, ats_mag.adapter(dimension, config.model.adapter or 64))
    steps = -(-len(bags["train"]) // settings.batch_size)
    trainer = Trainer(model, recipe_of(config).optimizer(settings.epochs * steps), Bag(bags["train"][0], np.empty(0)))
    rng = np.random.default_rng(settings.seed)
    best, weights, history = np.inf, None, []
    for epoch in range(settings.epochs):
        order = rng.permutation(len(bags["train"]))
        losses = [
            trainer.step([Bag(bags["train"][i], np.empty(0)) for i in chosen], labels["train"][chosen])
            for chosen in np.array_split(order, steps)
        ]
        row = {"epoch": epoch, "loss": float(np.mean(losses))}
        if bags["validation"]:
            found = probabilities_of(trainer, bags["validation"])
            true = np.clip(found[np.arange(len(found)), labels["validation"]], 1e-7, 1)
            row |= {"val_cross_entropy": float(-np.log(true).mean())}
            row |= {"val_accuracy": float((found.argmax(1) == labels["validation"]).mean())}
            if row["val_cross_entropy"] < best:
                best, weights = row["val_cross_entropy"], model.get_weights()
        history.append(row)
    if weights is not None:
        model.set_weights(weights)
    return trainer, pd.DataFrame(history)


def probabilities_of(trainer: Trainer, bags: list[np.ndarray]) -> np.ndarray:
    """`(n, C)`."""
    return np.array([trainer.predict(Bag(bag, np.empty(0)))[0] for bag in bags])


def run_fold(
    run: Run, results: RunLayout, fold: int, encoded: dict[str, np.ndarray], encoding_seconds: float
) -> dict[str, Any]:
    """Trains and tests on a fold, and writes what `ats-mag evaluate` writes."""
    splits, classes = run.splits, run.classes
    names = {part: part_of(splits, fold, part) for part in ("train", "validation")}
    test = run.test_slides(fold)
    label = dict(zip(splits["slide_id"], splits["label"], strict=True))
    bags = {part: [encoded[name] for name in found] for part, found in names.items()}
    labels = {part: np.array([classes.index(label[name]) for name in found]) for part, found in names.items()}
    begun = time.process_time()
    trainer, history = train_on(run.config, bags, labels, len(classes))
    seconds = time.process_time() - begun
    found = probabilities_of(trainer, [encoded[name] for name in test["slide_id"]])
    about = {
        "fold": fold,
        "classes": classes,
        "head": run.config.model.head,
        "method": "all patches, gated attention",
        "without_record": [],
        "unreadable": {},
        "patches_per_slide": float(np.mean([len(encoded[name]) for name in test["slide_id"]])),
        "training_seconds": seconds,  # of the processor, without encoding
        "encoding_seconds": encoding_seconds,  # of a slide
    }
    measured = measure_predictions(run.config.evaluate, results.fold(fold), test, found[None], about)
    history.to_csv(results.fold(fold).folder / HISTORY, index=False)
    return measured


def main(config: Path) -> None:
    """Measures all patches on all folds of a run."""
    run = Run.open_divided(read_config(config))
    results = RunLayout(run.layout.folder / ALL_FOLDER)
    record = find_records(run.config.records)[0]
    model = build_model(run.config, recipe_of(run.config), run.classes, record["overview_mpp"], 1, 1)
    encoded, seconds = encode_slides(run.config, model, config.parent)
    with warnings_shown_once():
        for fold in run.folds:
            show_fold(run_fold(run, results, fold, encoded, seconds))
        across_folds(run, results)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
