"""The names of measures, for people."""

from __future__ import annotations

from ats_mag.evaluation.measures import OVERALL, PER_CLASS

_WORDS = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "balanced_accuracy": "balanced accuracy",
    "f1": "F1",
    "ece": "calibration error",
}


def measure_words(classes: list[str]) -> dict[str, str]:
    """All measures of `measures.measure_names` in their order, each with what to call it."""
    names = {name: _WORDS.get(name, name) for name in OVERALL}
    return names | {f"{name}_{c}": f"{_WORDS.get(name, name)}, {c}" for name in PER_CLASS for c in classes}
