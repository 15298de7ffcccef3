"""Seconds of a training step: joint, of each magnification, and over all patches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import ats_mag
from ats_mag.tensors import Labels, Tensor
from experiments.common import in_turns
from experiments.common.gated_attention import Trainer, read_bags
from experiments.three_scales.all_patches import ALL_PATCHES_BATCH, new_model
from experiments.three_scales.data import Cohort
from experiments.three_scales.model import classifier
from experiments.three_scales.settings import Settings


def training(cohort: Cohort, settings: Settings, turns: int) -> dict[str, Any]:
    """Seconds for 16 slides, each contestant in its turn."""
    models = {"joint": classifier(settings)}
    models |= {
        f"single, {m:g} um/px": classifier(settings.model_copy(update={"magnifications": (m,)}))
        for m in settings.magnifications
    }

    def batches(seed: int) -> Iterator[tuple[dict[str, Tensor], Labels]]:
        return iter(cohort.training(settings.batch_size, seed).repeat())

    def step_of(model: ats_mag.SlideClassifier, seed: int) -> Callable[[], float]:
        model.compile(keras.optimizers.Adam(1e-3, clipnorm=1.0))
        model.optimizer.build(model.trainable_variables)  # as `fit` does, so that the step is traced once
        function = model.make_train_function() or model.train_function
        slides = batches(seed)
        return lambda: float(function(slides)["loss"])

    contestants = {name: step_of(model, seed) for seed, (name, model) in enumerate(models.items())}
    reader, slides = models["joint"], batches(len(models))
    inputs, held_labels = next(slides)
    held = list(read_bags(reader, _single(inputs)))
    trainer = Trainer(new_model(settings), keras.optimizers.Adam(1e-3, clipnorm=1.0), held[0])

    def every(read: bool) -> Callable[[], None]:
        def step() -> None:
            now, labels = iter(held), held_labels
            if read:
                inputs, labels = next(slides)
                now = read_bags(reader, _single(inputs))
            for first in range(0, len(labels), ALL_PATCHES_BATCH):
                chosen = [next(now) for _ in range(ALL_PATCHES_BATCH)]
                trainer.step(chosen, labels[first : first + ALL_PATCHES_BATCH].numpy())

        return step

    contestants |= {"all patches": every(True), "all patches, held in memory": every(False)}
    seconds = in_turns.seconds(contestants, turns)
    return {
        "slides": settings.batch_size,
        "patches_per_slide": {
            "joint": settings.n_patches,
            "all patches": float(np.mean([len(b.patches) for b in held])),
        },
        "seconds": {name: in_turns.summary(values) for name, values in seconds.items()},
        "times_joint": {name: in_turns.ratio(seconds["joint"], values) for name, values in seconds.items()},
        "sweep_times_joint": _median_ratio(seconds),
    }


def _median_ratio(seconds: dict[str, list[float]]) -> float:
    """The sum of a step at each magnification, as a multiple of a joint step: median over the turns."""
    sums = np.sum([values for name, values in seconds.items() if name.startswith("single")], axis=0)
    return float(np.median(sums / np.array(seconds["joint"])))


def _single(inputs: dict[str, Tensor]) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices(inputs).batch(1)
