"""What a run's folder holds of its results, whatever of it is there already."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from ats_mag.cohort.splits import FILE as SPLITS_FILE
from ats_mag.cohort.splits import count_labels, read_splits
from ats_mag.config.schema import RunConfig
from ats_mag.evaluation.result_files import read_table
from ats_mag.model.heads import get_head
from ats_mag.preparation.job import SHEETS
from ats_mag.runs.layout import fold_folder
from ats_mag.runs.run_folder import read_run

FIGURES = {
    "roc": "ROC",
    "precision_recall": "Precision and recall",
    "reliability": "Calibration",
    "confusion": "Confusion",
}


@dataclass(frozen=True)
class FoldResults:
    """One fold; None, or no rows, stand for what is not there.

    Attributes:
        fold: its number.
        trained: whether it has a model.
        metrics: `metrics.json`.
        slides: predictions of the test slides.
        history: of the training.
        bad_slides: rows of `bad_slides.csv`.
        figures: SVG by name of `FIGURES`.
    """

    fold: int
    trained: bool
    metrics: dict[str, Any] | None
    slides: pd.DataFrame | None
    history: pd.DataFrame | None
    bad_slides: list[Any]
    figures: dict[str, bytes]


@dataclass(frozen=True)
class RunResults:
    """A run.

    Attributes:
        name: of its folder.
        run: `run.json`.
        counts: slides and patients by fold, part and class, see `count_labels`; None where there is no division.
        folds: all of them.
        evaluation: `evaluation.json`, None where not all folds are measured.
        figures: over all folds; of a single fold none.
        sheets: address of each slide's quality sheet, by slide id, and of the page of all under ``""``.
    """

    name: str
    run: dict[str, Any]
    counts: pd.DataFrame | None
    folds: list[FoldResults]
    evaluation: dict[str, Any] | None
    figures: dict[str, bytes]
    sheets: dict[str, str]

    @property
    def exclusive(self) -> bool:
        """Whether a slide has exactly one class."""
        return get_head(self.run["config"]["model"]["head"]).exclusive


def read_results(config: RunConfig) -> RunResults:
    """Reads a run's results.

    Args:
        config: of the run.

    Raises:
        RunError: the run was not started, or its file is damaged.
        ValueError: another file of it is damaged.
    """
    run = read_run(config)
    exclusive = get_head(run["config"]["model"]["head"]).exclusive
    splits = config.run / SPLITS_FILE
    folds = [_fold(config, k) for k in range(run["folds"])]
    measured = all(fold.metrics is not None for fold in folds)  # else what is there is of models that are gone
    return RunResults(
        name=config.run.resolve().name,
        run=run,
        counts=count_labels(read_splits(splits), not exclusive, run["classes"]) if splits.exists() else None,
        folds=folds,
        evaluation=_json(config.run / "evaluation.json") if measured else None,
        figures=dict(_figures(config.run)) if run["folds"] > 1 else {},
        sheets=_sheets(config),
    )


def _fold(config: RunConfig, fold: int) -> FoldResults:
    folder = fold_folder(config, fold)
    bad = _csv(folder / "bad_slides.csv", dtype=str, keep_default_na=False)
    slides = folder / "slides.csv"
    return FoldResults(
        fold=fold,
        trained=(folder / "model.keras").exists(),
        metrics=_json(folder / "metrics.json"),
        slides=read_table(slides) if slides.exists() else None,
        history=_csv(folder / "history.csv"),
        bad_slides=[] if bad is None else bad.to_dict("records"),
        figures=dict(_figures(folder)),
    )


def _figures(folder: Path) -> Iterator[tuple[str, bytes]]:
    for name in FIGURES:
        file = folder / f"{name}.svg"
        if file.exists():
            yield name, file.read_bytes()


def _sheets(config: RunConfig) -> dict[str, str]:
    folder = config.records / SHEETS
    if not folder.is_dir():
        return {}
    # Relative where they lie in the run's folder, so that it may be moved.
    inside = folder.resolve().is_relative_to(config.run.resolve())
    where = quote(str(folder.resolve().relative_to(config.run.resolve()))) if inside else folder.resolve().as_uri()
    found = {file.stem: f"{where}/{quote(file.name)}" for file in folder.glob("*.png")}
    return found | ({"": f"{where}/index.html"} if (folder / "index.html").exists() else {})


def _json(file: Path) -> dict[str, Any] | None:
    if not file.exists():
        return None
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{str(file)!r} is damaged ({error}): run `ats-mag evaluate` again") from error
    return found


def _csv(file: Path, **options: Any) -> pd.DataFrame | None:
    if not file.exists():
        return None
    table = pd.read_csv(file, **options)
    return table if len(table) else None
