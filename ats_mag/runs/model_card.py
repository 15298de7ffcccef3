"""The card of an exported model: what it is, what it was trained on, how good it was found to be, and what it is for."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ats_mag.cohort.splits import count_labels, read_splits
from ats_mag.runs.layout import FoldFiles, RunLayout
from ats_mag.runs.run_file import versions
from ats_mag.system.whole_file import digest

if TYPE_CHECKING:
    from ats_mag.model.classifier import SlideClassifier

MODEL_CARD = "model_card.json"
INTENDED_USE = (
    "Research on slides like those it was trained on. Its makers stated no other use, and none was validated: it is no medical "
    "device and must not be used for diagnosis."
)
LIMITS = (
    "Measured on slides of the same cohort only, if at all: other scanners, stains, sites and patients may give other results.",
    "It sees the whole slide at low resolution and a few patches of it; what is in none of them does not count.",
    "Probabilities are not calibrated for another share of the classes than in training.",
)
_DIGITS = 6  # of measures, which intervals make generous


def model_card(
    model: SlideClassifier, model_file: str | os.PathLike[str] | None = None, intended_use: str | None = None
) -> dict[str, Any]:
    """Describes a model, with what the run that it is from says of it.

    Args:
        model: the model.
        model_file: that it was loaded from. Where it lies in the folder of a run, as `train` leaves it, the card says what it
            was trained on and how it measured.
        intended_use: in the words of its makers. None: `INTENDED_USE`.

    Returns:
        Values for JSON: `model`, `model_file`, `training`, `measures`, `versions`, `intended_use`, `limits`. What is not known
        is None.

    Raises:
        ValueError: a file of the run is damaged.
    """
    file = None if model_file is None else Path(model_file)
    fold = None if file is None else FoldFiles(file.parent)
    layout = None if fold is None else RunLayout(fold.folder.parent)
    run = None if layout is None else _read(layout.run)
    return {
        "model": describe(model),
        "model_file": None if file is None else {"name": file.name, "sha256": digest(file)},
        "training": None if fold is None or run is None else _training(fold, run),
        "measures": None if fold is None else _measures(fold),
        "versions": {"training": None if run is None else run["versions"], "export": versions()},
        "intended_use": intended_use or INTENDED_USE,
        "limits": list(LIMITS),
    }


def describe(model: SlideClassifier) -> dict[str, Any]:
    """What a user of the SavedModel must know of it."""
    return {
        "classes": model.classes,
        "head": model.head_kind,
        "magnifications_um_per_px": list(model.magnifications),
        "overview_um_per_px": model.lattice.overview_mpp,
        "stride": model.lattice.stride,
        "patch_size": model.patch_size,
        "test_method": model.test_method,
        "test_n_patches": model.test_n_patches,
    }


def _training(fold: FoldFiles, run: dict[str, Any]) -> dict[str, Any] | None:
    """Counts of the fold, after `count_labels`."""
    folder = fold.folder.parent
    splits = RunLayout(folder).splits
    if fold.number is None or not splits.exists():
        return None
    table = read_splits(splits)
    multi_label = run["config"]["model"]["head"] == "multi_label"
    counts = count_labels(table, multi_label, run["classes"])
    parts: dict[str, Any] = {}
    for row in counts[counts["fold"] == fold.number].to_dict("records"):
        members = table[table[f"fold_{fold.number}"] == row["part"]]
        part = parts.setdefault(
            str(row["part"]),
            {"slides": len(members), "patients": int(members["patient_id"].nunique()), "classes": {}},
        )
        part["classes"][row["label"]] = {"slides": int(row["slides"]), "patients": int(row["patients"])}
    return {"run": folder.resolve().name, "fold": fold.number, "parts": parts, "left_out": run["left_out"]}


def _measures(fold: FoldFiles) -> dict[str, Any] | None:
    """What `evaluate` measured on the fold's test part."""
    found = _read(fold.metrics)
    if found is None:
        return None
    about = {key: found[key] for key in ("method", "draws", "confidence", "resamples")}
    levels = {
        level: {
            "count": found[level]["count"],
            "measures": {
                name: {key: _rounded(measure[key]) for key in ("value", "low", "high")}
                for name, measure in found[level]["measures"].items()
            },
        }
        for level in ("slides", "patients")
    }
    return {"part": "test", **about, **levels}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)


def _read(file: Path) -> dict[str, Any] | None:
    if not file.exists():
        return None
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{str(file)!r} is damaged ({error}): make it anew, or export a copy of the model") from error
    if not isinstance(found, dict):
        raise ValueError(f"{str(file)!r} is damaged: make it anew, or export a copy of the model")
    return found
