"""The card of an exported model: what it is, what it was trained on, how good it was found to be, and what it is for."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ats_mag.cohort.splits import count_labels, read_splits
from ats_mag.model.export.description import card_without_run
from ats_mag.model.heads import get_head
from ats_mag.model.network import SlideNetwork
from ats_mag.runs.layout import FoldFiles, RunLayout
from ats_mag.system.atomic_files import digest

_DIGITS = 6  # of measures, which intervals make generous


def model_card(
    model: SlideNetwork, model_file: str | os.PathLike[str] | None = None, intended_use: str | None = None
) -> dict[str, Any]:
    """Describes a model, with what the run that it is from says of it.

    Args:
        model: the model.
        model_file: that it was loaded from. Where it lies in the folder of a run, as `train` leaves it, the card says what it
            was trained on and how it measured.
        intended_use: see `card_without_run`.

    Returns:
        As `card_without_run`, with `model_file`, `training`, `measures` and the versions at training where they are known.

    Raises:
        ValueError: a file of the run is damaged.
    """
    card = card_without_run(model, intended_use)
    if model_file is None:
        return card
    file = Path(model_file)
    fold = FoldFiles(file.parent)
    card["model_file"] = {"name": file.name, "sha256": digest(file)}
    card["measures"] = _measures(fold)
    run = _read(RunLayout(fold.folder.parent).run)
    if run is not None:
        card["training"] = _training(fold, run)
        card["versions"]["training"] = run["versions"]
    return card


def _training(fold: FoldFiles, run: dict[str, Any]) -> dict[str, Any] | None:
    """Counts of the fold, after `count_labels`."""
    folder = fold.folder.parent
    splits = RunLayout(folder).splits
    if fold.number is None or not splits.exists():
        return None
    table = read_splits(splits)
    multi_label = not get_head(run["config"]["model"]["head"]).exclusive
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
    more = {name: found[name] for name in ("baseline", "attention") if found.get(name)}
    return {"part": "test", **about, **levels, **more}


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
