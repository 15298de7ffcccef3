"""The measures of a classifier, by scikit-learn, NaN where the data do not define them."""

from __future__ import annotations

import warnings

import numpy as np

from ats_mag.evaluation.calibration import expected_calibration_error
from ats_mag.evaluation.scored_table import Scored, UndefinedMeasureWarning

OVERALL = ("auroc", "auprc", "accuracy", "balanced_accuracy", "f1", "ece")
PER_CLASS = ("auroc", "auprc", "recall", "f1")
_WORDS = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "balanced_accuracy": "balanced accuracy",
    "f1": "F1",
    "ece": "calibration error",
}


def measure_names(classes: list[str]) -> list[str]:
    """Names of all measures: the overall ones, then those of each class, as `auroc_CLASS`."""
    return [*OVERALL, *(f"{name}_{c}" for name in PER_CLASS for c in classes)]


def measure_words(classes: list[str]) -> dict[str, str]:
    """All measures of `measure_names` in their order, each with what people call it."""
    names = {name: _WORDS.get(name, name) for name in OVERALL}
    return names | {f"{name}_{c}": f"{_WORDS.get(name, name)}, {c}" for name in PER_CLASS for c in classes}


def measures(scored: Scored, warn: bool = True) -> dict[str, float]:
    """All measures of `scored`.

    - `auroc_CLASS`: area under the ROC curve of one class against the rest; `auroc`: their mean (macro).
    - `auprc_CLASS`: average precision of one class against the rest (no interpolation; a random ranking has the share of
      the class); `auprc`: their mean.
    - `accuracy`: share of right predictions; with several labels per slide, of right yes/no decisions over all classes.
    - `recall_CLASS`: share of the class that is predicted as such. `balanced_accuracy`: mean of the recalls; with several
      labels per slide, mean over the classes of the mean of recall and specificity.
    - `f1_CLASS`: harmonic mean of precision and recall; `f1`: their mean (macro).
    - `ece`: see `calibration.expected_calibration_error`.

    A mean over classes is defined where it is for every class: a fold without one class would otherwise be compared with
    others on an easier question.

    Args:
        scored: what to measure.
        warn: whether to warn of what is undefined.

    Returns:
        A value per name of `measure_names`.

    Warns:
        UndefinedMeasureWarning: names the measures that are NaN, and why.
    """
    reasons = _undefined(scored)
    if warn:
        for reason in dict.fromkeys(reasons.values()):
            names = ", ".join(name for name in reasons if reasons[name] == reason)
            warnings.warn(f"{scored.name}: undefined (NaN): {names}: {reason}", UndefinedMeasureWarning, stacklevel=2)
    nan = float("nan")
    if len(scored) == 0:
        return dict.fromkeys(measure_names(scored.classes), nan)
    found = _of_classes(scored, reasons) | _overall(scored, reasons)
    return {name: found.get(name, nan) for name in measure_names(scored.classes)}


def _of_classes(scored: Scored, reasons: dict[str, str]) -> dict[str, float]:
    from sklearn import metrics

    found: dict[str, float] = {}
    for c, name in enumerate(scored.classes):
        truth, predicted = scored.truth[:, c].astype(int), scored.predicted[:, c].astype(int)
        values = {
            "auroc": lambda t=truth, c=c: metrics.roc_auc_score(t, scored.probabilities[:, c]),
            "auprc": lambda t=truth, c=c: metrics.average_precision_score(t, scored.probabilities[:, c]),
            "recall": lambda t=truth, p=predicted: metrics.recall_score(t, p, zero_division=0),
            "f1": lambda t=truth, p=predicted: metrics.f1_score(t, p, zero_division=0),
        }
        found |= {f"{k}_{name}": float(value()) for k, value in values.items() if f"{k}_{name}" not in reasons}
    for name in ("auroc", "auprc", "f1"):
        if name not in reasons:
            found[name] = float(np.mean([found[f"{name}_{c}"] for c in scored.classes]))
    return found


def _overall(scored: Scored, reasons: dict[str, str]) -> dict[str, float]:
    from sklearn import metrics

    truth, predicted = scored.truth.astype(int), scored.predicted.astype(int)
    if scored.exclusive:
        truth, predicted = truth.argmax(axis=1)[:, None], predicted.argmax(axis=1)[:, None]
    found = {
        "accuracy": float(metrics.accuracy_score(truth.ravel(), predicted.ravel())),
        "ece": expected_calibration_error(scored),
    }
    if "balanced_accuracy" not in reasons:
        columns = zip(truth.T, predicted.T, strict=True)
        found["balanced_accuracy"] = float(np.mean([metrics.balanced_accuracy_score(t, p) for t, p in columns]))
    return found


def _undefined(scored: Scored) -> dict[str, str]:
    """Why a measure is undefined, by the measure's name."""
    if len(scored) == 0:
        return dict.fromkeys(measure_names(scored.classes), f"there is no {scored.unit} to measure")
    reasons: dict[str, str] = {}
    for c, name in enumerate(scored.classes):
        positive = int(scored.truth[:, c].sum())
        none, every = positive == 0, positive == len(scored)
        why = f"no {scored.unit} is of class {name!r}" if none else f"every {scored.unit} is of class {name!r}"
        affected = [f"auroc_{name}", "auroc"] if none or every else []
        if none:
            affected += [f"auprc_{name}", "auprc", f"recall_{name}", "balanced_accuracy"]
        if every and not scored.exclusive:
            affected.append("balanced_accuracy")
        if none and not scored.predicted[:, c].any():
            affected += [f"f1_{name}", "f1"]
        for measure in affected:
            reasons.setdefault(measure, why)
    return reasons
