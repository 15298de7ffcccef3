"""Colour histograms of overviews, and the logistic regression that learns from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, StratifiedGroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from ats_mag.records.dataset import dataset
from ats_mag.records.record import encode_label

BINS = 16  # of each channel
STRENGTHS = np.logspace(-4, 1, 6)  # C of the logistic regression


def histograms(records: list[dict[str, Any]], slide_root: Path) -> np.ndarray:
    """Shares of pixels per bin of red, green and blue, `(n, 2, 3 * BINS)`: of the whole overview, and of its tissue."""
    found = []
    for inputs in dataset(records, slide_root, None, 1, multiple=1):
        image, mask = inputs["overview"][0].numpy(), inputs["mask"][0].numpy() > 0
        found.append([_histogram(image.reshape(-1, 3)), _histogram(image[mask])])
    return np.array(found)


def _histogram(pixels: np.ndarray) -> np.ndarray:
    counts = [np.histogram(pixels[:, c], BINS, (0, 256))[0] for c in range(3)]
    return np.concatenate(counts) / max(len(pixels), 1)


def choose(features: np.ndarray, areas: tuple[int, ...]) -> np.ndarray:
    """The histograms of these areas, side by side."""
    return features[:, list(areas)].reshape(len(features), -1)


def learn(features: np.ndarray, truth: np.ndarray, patients: np.ndarray) -> Pipeline | GridSearchCV:
    """The regression whose area and strength have the least log loss in cross-validation over the training patients."""
    model = make_pipeline(FunctionTransformer(choose), StandardScaler(), LogisticRegression(max_iter=5000))
    grid = {
        "functiontransformer__kw_args": [{"areas": areas} for areas in ((0,), (1,), (0, 1))],
        "logisticregression__C": STRENGTHS,
    }
    fewest = min(len(np.unique(patients[truth == c])) for c in np.unique(truth))
    if fewest < 2:  # nothing to validate on
        return model.set_params(functiontransformer__kw_args={"areas": (0,)}, logisticregression__C=0.1).fit(
            features, truth
        )
    parts = StratifiedGroupKFold(min(5, fewest), shuffle=True, random_state=0)
    divided = list(parts.split(features, truth, patients))
    if any(len(np.unique(truth[train])) < len(np.unique(truth)) for train, _ in divided):
        divided = list(GroupKFold(min(5, len(np.unique(patients)))).split(features, truth, patients))
    search = GridSearchCV(model, grid, scoring=_log_likelihood, cv=divided)
    return search.fit(features, truth)


def _log_likelihood(model: Pipeline, features: np.ndarray, truth: np.ndarray) -> float:
    """Mean log-probability of the true class; a part need not have every class."""
    number = np.searchsorted(model.classes_, truth)
    return float(model.predict_log_proba(features)[np.arange(len(truth)), number].mean())


def predict(
    features: np.ndarray, slides: pd.DataFrame, classes: list[str], exclusive: bool, tested: np.ndarray
) -> np.ndarray:
    """Probabilities `(n, C)` of the features `tested`, learnt from the others' labels in `slides`.

    Raises:
        ValueError: all slides for training are of one class.
    """
    ids = zip(slides["slide_id"], slides["label"], strict=True)
    truth = np.array([encode_label(label, classes, not exclusive, slide) for slide, label in ids]).astype(int)
    patients = slides["patient_id"].to_numpy(str)
    found = np.zeros((len(tested), len(classes)))
    if exclusive:
        if len(np.unique(truth)) < 2:
            raise ValueError(f"all slides for training are of class {classes[truth[0]]!r}: there is nothing to learn")
        if len(tested):
            model = learn(features, truth, patients)
            found[:, model.classes_] = model.predict_proba(tested)
        return found
    for c in range(len(classes)):
        varies = 0 < truth[:, c].sum() < len(truth)
        if len(tested):
            found[:, c] = learn(features, truth[:, c], patients).predict_proba(tested)[:, 1] if varies else truth[0, c]
    return found
