"""How each kind of contestant of `three_scales.py` is trained and what is measured of it."""

from __future__ import annotations

import gc
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from colour_baseline import histograms, learn
from gated_attention import Bag, GatedAttention, Trainer, read_bags
from stain_free import stain_free_network
from three_scales_data import CLASSES, SPLITS, Cohort, on_places
from three_scales_model import Settings, classifier, fit

import ats_mag
from ats_mag.evaluation.measures import measures
from ats_mag.evaluation.scored import Scored
from ats_mag.geometry.lattice import Lattice

TEST_BATCH = 20
ALL_PATCHES_BATCH = 4  # slides; 16 bags of every magnification take four times the memory and the time
ALL_PATCHES_VALIDATED = 4  # epochs between; a pass over every patch takes long
UNIFORM_PASSES = 5


class Watch(keras.callbacks.Callback):
    """Validates after each epoch, and keeps the history."""

    def __init__(self, predict: Callable[[], np.ndarray], labels: np.ndarray) -> None:
        super().__init__()
        self.predict, self.labels = predict, labels
        self.history: list[dict[str, float]] = []
        self.seconds = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.begun = time.process_time()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seconds += time.process_time() - self.begun
        found = score(self.labels, self.predict())
        row = {"epoch": epoch + 1, "processor_seconds": round(self.seconds, 2)}
        row |= {name: round(float(value), 5) for name, value in (logs or {}).items()}
        row |= {f"validation_{name}": round(value, 5) for name, value in found.items()}
        self.history.append(row)
        if epoch % 4 == 3:
            print(
                " ", {key: row[key] for key in ("epoch", "loss", "validation_loss", "validation_accuracy")}, flush=True
            )


def score(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """Accuracy, AUC (mean of one class against the rest) and mean cross-entropy."""
    truth = np.eye(len(CLASSES), dtype=bool)[labels]
    scored = Scored("slides", "slide", list(CLASSES), truth, probabilities, np.arange(len(labels)))
    found = measures(scored, warn=False)
    loss = -np.log(np.maximum(probabilities[truth], 1e-7)).mean()
    return {"accuracy": found["accuracy"], "auc": found["auroc"], "loss": float(loss)}


def result(cohort: Cohort, watch: Watch, probabilities: np.ndarray, **more: Any) -> dict[str, Any]:
    return {
        **tested(cohort, probabilities),
        **more,
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "history": watch.history,
    }


def tested(cohort: Cohort, probabilities: np.ndarray) -> dict[str, Any]:
    """Scores of the test slides, and what they are made from."""
    labels = cohort.labels["test"]
    found = {"test": score(labels, probabilities), "test_labels": labels.tolist()}
    return found | {"test_probabilities": probabilities.round(5).tolist()}


def sampled(cohort: Cohort, settings: Settings, path: Path) -> dict[str, Any]:
    """A `SlideClassifier`; its model is kept in `path`."""
    data = cohort.training(settings.batch_size, settings.seed)
    steps = -(-len(cohort.records["train"]) // settings.batch_size)
    model = classifier(settings)
    validation, test = (cohort.dataset(split, TEST_BATCH) for split in ("validation", "test"))
    watch = Watch(lambda: model.predict(validation, verbose=0), cohort.labels["validation"])
    fit(model, data, settings, steps, [watch])
    path.parent.mkdir(parents=True, exist_ok=True)
    model.save(path)
    passes = [model.predict(test, verbose=0) for _ in range(UNIFORM_PASSES if settings.uniform else 1)]
    maps = [one for inputs, _ in test for one in model.attend(inputs).numpy()]
    more: dict[str, Any] = {
        "passes": [score(cohort.labels["test"], one) for one in passes],
        "places": on_places(cohort, "test", maps, model.lattice),
        "magnification_mass": np.mean([one.sum((0, 1)) for one in maps], axis=0).tolist(),
        "patches_per_slide": settings.n_patches,
        "cells_per_slide": float(np.mean([(one > 0).sum() for one in maps])),
    }
    if not settings.uniform:
        model.test_method = "exhaustive"
        exact = model.predict(test, verbose=0)
        more["exhaustive"] = {
            **score(cohort.labels["test"], exact),
            "same_class": float((exact.argmax(1) == passes[0].argmax(1)).mean()),
            "mean_difference": float(np.abs(exact - passes[0]).max(1).mean()),
        }
    return result(cohort, watch, passes[0], **more)


def all_patches(cohort: Cohort, settings: Settings, path: Path) -> dict[str, Any]:
    """A `GatedAttention` trained end to end on bags in memory."""
    bags, lattice, seconds = _bags(cohort, settings)
    keras.utils.set_random_seed(settings.seed)
    model = GatedAttention(len(CLASSES), stain_free_network(settings.patch_size))
    return _pooled(cohort, settings, path, model, bags, lattice, ALL_PATCHES_BATCH) | {
        "reading_processor_seconds": seconds
    }


def joint_features(cohort: Cohort, settings: Settings, path: Path) -> dict[str, Any]:
    """A `GatedAttention` on features computed once, with the network that joint sampling has learnt with that seed.

    Raises:
        FileNotFoundError: that was not run here.
    """
    trained = path.with_name(f"joint-priority-seed{settings.seed}.keras")
    if not trained.exists():
        raise FileNotFoundError(f"{str(trained)!r} does not exist: run `joint, priority` with that seed first")
    bags, lattice, seconds = _bags(cohort, settings)
    network = ats_mag.load_model(trained).feature
    features = {
        split: [bag._replace(patches=network.predict(bag.patches.astype("float32"), 512, verbose=0)) for bag in found]
        for split, found in bags.items()
    }
    keras.utils.set_random_seed(settings.seed)
    model = GatedAttention(len(CLASSES), None)
    found = _pooled(cohort, settings, path, model, features, lattice, settings.batch_size)
    return found | {"reading_processor_seconds": seconds}


def _bags(cohort: Cohort, settings: Settings) -> tuple[dict[str, list[Bag]], Lattice, float]:
    """Every patch of each split, the lattice, and the processor seconds of the reading."""
    model = classifier(settings)  # never trained: says what patches there are
    begun = time.process_time()
    bags = {s: list(read_bags(model, cohort.dataset(s, 1).map(lambda x, _: x))) for s in SPLITS}
    return bags, model.lattice, round(time.process_time() - begun, 1)


def _pooled(
    cohort: Cohort,
    settings: Settings,
    path: Path,
    model: GatedAttention,
    bags: dict[str, list[Bag]],
    lattice: Lattice,
    batch: int,
) -> dict[str, Any]:
    """Trains on so many bags a step, as many steps as the other contestants, and tests."""
    gc.collect()
    number = len(bags["train"])
    steps = -(-number // settings.batch_size)
    rate = keras.optimizers.schedules.CosineDecay(settings.learning_rate, settings.epochs * steps, alpha=0.02)
    trainer = Trainer(model, keras.optimizers.Adam(rate, clipnorm=1.0), bags["train"][0])
    watch = Watch(
        lambda: np.array([trainer.predict(bag)[0] for bag in bags["validation"]]), cohort.labels["validation"]
    )
    watch.set_model(model)
    rng = np.random.default_rng(settings.seed)
    order: list[int] = []
    for epoch in range(settings.epochs):
        if epoch % ALL_PATCHES_VALIDATED == 0:
            watch.on_epoch_begin(epoch)
        losses = []
        for _ in range(steps):
            if len(order) < batch:
                order += rng.permutation(number).tolist()
            chosen, order = order[:batch], order[batch:]
            now = [bags["train"][i] for i in chosen]
            if bags["train"][0].patches.ndim > 2:
                now = [bag.turned(int(rng.integers(8))) for bag in now]
            losses.append(trainer.step(now, cohort.labels["train"][chosen]))
        if (epoch + 1) % ALL_PATCHES_VALIDATED == 0 or epoch + 1 == settings.epochs:
            watch.on_epoch_end(epoch, {"loss": np.mean(losses)})
    path.parent.mkdir(parents=True, exist_ok=True)
    model.save_weights(path.with_suffix(".weights.h5"))
    probabilities, maps = [], []
    for bag in bags["test"]:
        found, attention = trainer.predict(bag)
        probabilities.append(found)
        shape = (*(int(v) for v in bag.cells.max(0)[:2] + 1), len(settings.magnifications))
        maps.append(np.zeros(shape))
        maps[-1][tuple(bag.cells.T)] = attention
    n_cells = float(np.mean([len(bag.patches) for bag in bags["test"]]))
    more = {
        "places": on_places(cohort, "test", maps, lattice),
        "patches_per_slide": n_cells,
        "cells_per_slide": n_cells,
        "slides_per_step": batch,
        "slides_per_epoch": batch * steps,
    }
    return result(cohort, watch, np.array(probabilities), **more)


def overview(cohort: Cohort, settings: Settings, path: Path) -> dict[str, Any]:
    """A small convolutional network that sees the overview alone, with as many steps."""
    keras.utils.set_random_seed(settings.seed)
    x = inputs = keras.Input((None, None, 3))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(x)
    for width in (16, 32, 64):
        x = keras.layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
        x = keras.layers.GroupNormalization(8)(x)
        x = keras.layers.ReLU()(x)
        x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.Concatenate()([keras.layers.GlobalAveragePooling2D()(x), keras.layers.GlobalMaxPooling2D()(x)])
    model = keras.Model(inputs, keras.layers.Dense(len(CLASSES), activation="softmax")(x))
    data = {s: cohort.dataset(s, TEST_BATCH).map(lambda x, _: x["overview"]) for s in ("validation", "test")}
    train = cohort.training(settings.batch_size, settings.seed)
    watch = Watch(lambda: model.predict(data["validation"], verbose=0), cohort.labels["validation"])
    steps = settings.epochs * -(-len(cohort.records["train"]) // settings.batch_size)
    rate = keras.optimizers.schedules.CosineDecay(settings.learning_rate, steps, alpha=0.02)
    model.compile(keras.optimizers.Adam(rate, clipnorm=1.0), "sparse_categorical_crossentropy")
    train = train.map(lambda x, y: (x["overview"], y))
    model.fit(train, epochs=settings.epochs, shuffle=False, verbose=0, callbacks=[watch])
    return result(cohort, watch, model.predict(data["test"], verbose=0))


def colour(cohort: Cohort, settings: Settings, path: Path) -> dict[str, Any]:
    """Logistic regression on colour histograms, chosen by cross-validation over the training slides."""
    features = {s: histograms(cohort.records[s], cohort.folder) for s in ("train", "test")}
    slides = np.array([record["slide_id"] for record in cohort.records["train"]])
    model = learn(features["train"], cohort.labels["train"], slides)
    return tested(cohort, model.predict_proba(features["test"]))


RUN = {
    "sampled": sampled,
    "all patches": all_patches,
    "joint's features": joint_features,
    "overview": overview,
    "colour": colour,
}
