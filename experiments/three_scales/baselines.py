"""What the overview and its colour alone tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np

from ats_mag.evaluation.colour_histograms import histograms, learn
from data_prep.three_scale_slides.layout import CLASSES
from experiments.three_scales.data import Cohort
from experiments.three_scales.scores import TEST_BATCH, Watch, result, tested
from experiments.three_scales.settings import Settings


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
