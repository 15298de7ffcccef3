"""A light network chooses 25 places of each slide, the full encoder sees these alone, and their mean is classified.

    python -m experiments.cohort_runs.light_selection CONFIG

After EAGLE (Neidlinger et al., "A deep learning framework for efficient pathology image analysis", arXiv 2502.13027, 2025): there
a pretrained slide model on features of a light encoder says which 25 tiles a large encoder is to see. No such slide model is at
hand, so gated attention learns to choose from the slides' labels; and light is the same encoder on each field at a quarter of
its resolution. Fields are the cells of the run's lattice at its one magnification. What is chosen is classified by logistic
regression on the mean of its features.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

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
from experiments.cohort_runs.all_patches import encode_slides, train_on
from experiments.cohort_runs.results import LIGHT_FOLDER
from experiments.common.gated_attention import Bag

PLACES = 25
COARSER = 4  # times, of the fields as the light network sees them
LEAST_SIDE = 64  # of what the encoder is given


def light_config(config: RunConfig) -> RunConfig:
    """The same fields at a quarter of the resolution.

    Raises:
        ValueError: the run has several magnifications.
    """
    model = config.model
    if len(model.magnifications) != 1:
        raise ValueError(f"a light selection needs fields of one magnification. Received: {model.magnifications}")
    changes = {
        "magnifications": [COARSER * model.magnifications[0]],
        "patch_size": model.patch_size // COARSER,
        "encoder_size": LEAST_SIDE,
    }
    return config.model_copy(update={"model": model.model_copy(update=changes)})


def chosen_places(attention: np.ndarray, number: int = PLACES) -> np.ndarray:
    """Places of the most attention, as many as there are, in falling order."""
    return np.argsort(-attention, kind="stable")[:number]


def encode_chosen(run: Run, model: SlideClassifier, chosen: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The mean of what the encoder says of the chosen fields of each slide, `(E,)`."""
    records = [record for record in find_records(run.config.records) if record["slide_id"] in chosen]
    found = {}
    for record, inputs in zip(records, ats_mag.dataset(records, run.config.data.slides, None, 1), strict=True):
        valid = keras.ops.convert_to_numpy(model.cells(inputs["mask"]))[0]
        cells = np.argwhere(valid)[chosen[record["slide_id"]]]
        cells = np.concatenate([cells, np.zeros((len(cells), 1), int)], axis=1).astype(np.int32)
        patches, _ = model.read(inputs, keras.ops.convert_to_tensor(cells[None]))
        found[record["slide_id"]] = keras.ops.convert_to_numpy(model.feature.encode(patches[0])).mean(axis=0)
    return found


def run_fold(
    run: Run,
    results: RunLayout,
    fold: int,
    light: dict[str, np.ndarray],
    encoding_seconds: float,
    full: SlideClassifier,
) -> dict[str, Any]:
    """Learns to choose, chooses, encodes, classifies, and writes what `ats-mag evaluate` writes."""
    splits, classes = run.splits, run.classes
    label = {name: classes.index(of) for name, of in zip(splits["slide_id"], splits["label"], strict=True)}
    names = {part: part_of(splits, fold, part) for part in ("train", "validation", "test")}

    def bags(part: str) -> list[np.ndarray]:
        return [light[name] for name in names[part]]

    def labels(parts: Iterable[str]) -> np.ndarray:
        return np.array([label[name] for part in parts for name in names[part]])

    begun = time.process_time()
    trainer, _ = train_on(
        run.config,
        {part: bags(part) for part in ("train", "validation")},
        {part: labels([part]) for part in ("train", "validation")},
        len(classes),
    )
    every = [name for of_part in names.values() for name in of_part]
    chosen = {name: chosen_places(trainer.predict(Bag(light[name], np.empty(0)))[1]) for name in every}
    mean = encode_chosen(run, full, chosen)
    fitted = ("train", "validation")
    head = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
    head.fit([mean[name] for part in fitted for name in names[part]], labels(fitted))
    test = run.test_slides(fold)
    probabilities = head.predict_proba([mean[name] for name in test["slide_id"]])
    about = {
        "fold": fold,
        "classes": classes,
        "head": run.config.model.head,
        "method": f"{PLACES} fields chosen by a light network, averaged",
        "without_record": [],
        "unreadable": {},
        "patches_per_slide": float(np.mean([min(PLACES, len(light[name])) for name in test["slide_id"]])),
        "fields_per_slide": float(np.mean([len(light[name]) for name in test["slide_id"]])),
        "training_seconds": time.process_time() - begun,  # of the processor, without light encoding
        "encoding_seconds": encoding_seconds,  # of a slide, by the light network
    }
    return measure_predictions(run.config.evaluate, results.fold(fold), test, probabilities[None], about)


def main(config: Path) -> None:
    """Measures the selection on all folds of a run."""
    run = Run.open_divided(read_config(config))
    results = RunLayout(run.layout.folder / LIGHT_FOLDER)
    record = find_records(run.config.records)[0]

    def model_of(config: RunConfig) -> SlideClassifier:
        return build_model(config, recipe_of(config), run.classes, record["overview_mpp"], 1, 1)

    lighter = light_config(run.config)
    light, seconds = encode_slides(lighter, model_of(lighter), config.parent)
    full = model_of(run.config)
    with warnings_shown_once():
        for fold in run.folds:
            show_fold(run_fold(run, results, fold, light, seconds, full))
        across_folds(run, results)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
