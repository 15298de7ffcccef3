"""What is taken from the folder of a run that `ats-mag evaluate` has measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from ats_mag.config.schema import RunConfig
from ats_mag.training.settings import monitored
from ats_mag.training.verdict import model_epoch

SLIDES = "slides.csv"
ABOUT = ("method", "patches_per_slide", "fields_per_slide", "training_seconds", "encoding_seconds")
MEASURES = ("accuracy", "auroc", "balanced_accuracy", "ece")


def test_measures(folder: Path) -> dict[str, Any]:
    """Measures of the test slides, and of the patients where these have several slides.

    Args:
        folder: with `fold-K/metrics.json` and `evaluation.json`.

    Returns:
        `folds`, their number; `slides` and, if there are fewer of them, `patients`: their `count`, and `measures`, each
        with `value`, `low` and `high`. With one fold these are the fold's, with bootstrap intervals over patients; with
        several, the mean of the folds with its t interval and, as `values`, each fold's. `attention` of each fold's model,
        where it has one: its `spread` and its `mass` by magnification. `about`: what else is said of each fold, such as
        patches per slide and seconds. `right`: a digit per test slide, in the order of their names, 1 where it was told rightly.
    """
    found = json.loads((folder / "evaluation.json").read_text())
    folds = [json.loads((folder / f"fold-{k}" / "metrics.json").read_text()) for k in found["folds"]]
    result: dict[str, Any] = {
        "folds": len(folds),
        "about": [{key: fold[key] for key in ABOUT if key in fold} for fold in folds],
        "attention": [fold["attention"] for fold in folds if "attention" in fold],
    }
    slides = pd.concat([pd.read_csv(folder / f"fold-{k}" / SLIDES, dtype=str) for k in found["folds"]])
    slides = slides.sort_values("slide_id", kind="stable")
    result["right"] = "".join((slides["label"] == slides["predicted"]).astype(int).astype(str))
    for level in ("slides", "patients"):
        measures = folds[0][level]["measures"] if len(folds) == 1 else found[level]["mean"]
        count = sum(fold[level]["count"] for fold in folds)
        if level == "slides" or count < result["slides"]["count"]:
            result[level] = {"count": count, "measures": {name: measures[name] for name in MEASURES}}
    return result


def validation_measures(config: RunConfig, folds: int) -> list[dict[str, float]]:
    """`epoch` (from 0, as in `history.csv`), `accuracy` and `cross_entropy` of the validation part at the epoch whose weights each fold's model has.

    Empty where there is no validation part.
    """
    found = []
    for fold in range(folds):
        history = pd.read_csv(config.run / f"fold-{fold}" / "history.csv")
        if "val_accuracy" not in history:
            return []
        row = history.iloc[model_epoch(history, monitored(config, validated=True))]
        found.append(
            {
                "epoch": int(row["epoch"]),
                "accuracy": float(row["val_accuracy"]),
                "cross_entropy": float(row["val_cross_entropy"]),
            }
        )
    return found
