"""What the overview and its colour alone tell."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import ats_mag
from ats_mag.slides.tissue import tissue_mask
from ats_mag.slides.tissue_options import OTSU
from experiments.crc_tiles.auc import measure
from experiments.crc_tiles.data import Cohort

THUMBNAIL_MPP = 8.0  # um/px of the colour statistics


def colour_baseline(cohort: Cohort) -> dict[str, Any]:
    """Logistic regression on means, deviations and histograms of the tissue's colour."""

    def statistics(record: dict[str, Any]) -> np.ndarray:
        image = ats_mag.read_overview(str(cohort.folder / record["path"]), THUMBNAIL_MPP)
        pixels = image.numpy()[tissue_mask(image, OTSU).numpy()].astype("float32")
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
