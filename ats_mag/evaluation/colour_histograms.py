"""Colour histograms of overviews, and the logistic regression that learns from them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import Pipeline

BINS = 16  # of each channel
_known: dict[tuple[str, int], np.ndarray] = {}  # histograms of records that were read: a slide is in several folds
STRENGTHS = np.logspace(-4, 1, 6)  # C of the logistic regression


def histograms(records: list[dict[str, Any]], slide_root: str | os.PathLike[str]) -> np.ndarray:
    """Shares of pixels per bin of red, green and blue, `(n, 2, 3 * BINS)`: of the whole overview, and of its tissue."""
    from ats_mag.records.dataset import dataset

    keys = [(r["record"], os.stat(r["record"]).st_mtime_ns) for r in records]
    new = [(key, record) for key, record in zip(keys, records, strict=True) if key not in _known]
    if new:
        inputs = dataset([record for _, record in new], slide_root, None, 1, multiple=1)
        for (key, _), slide in zip(new, inputs, strict=True):
            image, mask = slide["overview"][0].numpy(), slide["mask"][0].numpy() > 0
            _known[key] = np.array([_histogram(image.reshape(-1, 3)), _histogram(image[mask])])
    return np.array([_known[key] for key in keys]).reshape(len(records), 2, 3 * BINS)


def _histogram(pixels: np.ndarray) -> np.ndarray:
    counts = [np.bincount(pixels[:, c] // (256 // BINS), minlength=BINS) for c in range(3)]
    return np.concatenate(counts) / max(len(pixels), 1)


def choose(features: np.ndarray, areas: tuple[int, ...]) -> np.ndarray:
    """The histograms of these areas, side by side."""
    return features[:, list(areas)].reshape(len(features), -1)


def learn(features: np.ndarray, truth: np.ndarray, patients: np.ndarray) -> Pipeline | GridSearchCV:
    """The regression whose area and strength have the least log loss in cross-validation over the training patients."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, GroupKFold, StratifiedGroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

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
    probability = model.predict_proba(features)[np.arange(len(truth)), number]
    return float(np.log(np.maximum(probability, np.finfo(float).tiny)).mean())  # with few slides it may round to 0


def predict(
    features: np.ndarray, slides: pd.DataFrame, classes: list[str], exclusive: bool, tested: np.ndarray
) -> np.ndarray:
    """Probabilities `(n, C)` of the features `tested`, learnt from the others' labels in `slides`.

    Raises:
        ValueError: all slides for training are of one class.
    """
    from ats_mag.records.record import encode_label

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
