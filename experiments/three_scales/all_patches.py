"""All patches of a slide with gated attention pooling: trained end to end, or on features that are learnt already."""

from __future__ import annotations

import gc
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np

import ats_mag
from ats_mag.geometry.lattice import Lattice
from ats_mag.model.stain_free_network import stain_free_network
from data_prep.three_scale_slides.layout import CLASSES
from experiments.common.gated_attention import Bag, GatedAttention, Trainer, read_bags
from experiments.three_scales.data import SPLITS, Cohort, on_places
from experiments.three_scales.model import classifier
from experiments.three_scales.scores import Watch, result
from experiments.three_scales.settings import Settings

ALL_PATCHES_BATCH = 4  # slides; 16 bags of every magnification take four times the memory and the time
ALL_PATCHES_VALIDATED = 4  # epochs between; a pass over every patch takes long


def all_patches(cohort: Cohort, settings: Settings, path: Path) -> dict[str, Any]:
    """A `GatedAttention` trained end to end on bags in memory."""
    bags, lattice, seconds = _bags(cohort, settings)
    found = _pooled(cohort, settings, path, new_model(settings), bags, lattice, ALL_PATCHES_BATCH)
    return found | {"reading_processor_seconds": seconds}


def new_model(settings: Settings) -> GatedAttention:
    """The model before its training, the feature network that of the sampling contestants."""
    keras.utils.set_random_seed(settings.seed)
    return GatedAttention(len(CLASSES), stain_free_network(settings.patch_size))


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
