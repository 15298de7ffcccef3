"""What a run's folder holds of its results, whatever of it is there already."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pandas as pd

from ats_mag.cohort.splits import count_labels
from ats_mag.evaluation.result_files import read_table
from ats_mag.model.heads import get_head
from ats_mag.preparation.index import remarks
from ats_mag.preparation.state import read_state
from ats_mag.runs.layout import ResultFiles, RunLayout
from ats_mag.runs.run_file import RunFile
from ats_mag.system.kept_tables import read_kept
from ats_mag.training.checkpoints import Checkpoints
from ats_mag.training.verdict import fold_attention, fold_verdict

if TYPE_CHECKING:
    from ats_mag.runs.run import Run

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
        seconds: that training took; None: not known.
        attention: where it was at the model's epoch, in words; None: not known.
        amiss: with the training, see `training.verdict`.
    """

    fold: int
    trained: bool
    metrics: dict[str, Any] | None
    slides: pd.DataFrame | None
    history: pd.DataFrame | None
    bad_slides: list[dict[Hashable, str]]
    figures: dict[str, bytes]
    seconds: float | None
    attention: str | None
    amiss: list[str]


@dataclass(frozen=True)
class RunResults:
    """A run.

    Attributes:
        name: of the folder and of the study that it lies in.
        run: what it keeps about itself.
        counts: slides and patients by fold, part and class, see `count_labels`; None where there is no division.
        folds: all of them.
        evaluation: `evaluation.json`, None where not all folds are measured.
        figures: over all folds; of a single fold none.
        sheets: address of each slide's quality sheet, by slide id, and of the page of all under ``""``.
        pictures: files of the same sheets, by slide id.
        flags: what had better be looked at, sentences by slide id; slides without are left out.
    """

    name: str
    run: RunFile
    counts: pd.DataFrame | None
    folds: list[FoldResults]
    evaluation: dict[str, Any] | None
    figures: dict[str, bytes]
    sheets: dict[str, str]
    pictures: dict[str, Path]
    flags: dict[str, list[str]]

    @property
    def exclusive(self) -> bool:
        """Whether a slide has exactly one class."""
        return get_head(self.run["config"]["model"]["head"]).exclusive


def read_results(run: Run) -> RunResults:
    """Reads a run's results.

    Args:
        run: as it is stored.

    Raises:
        ValueError: a file of it is damaged.
    """
    about, layout = run.about, run.layout
    exclusive = get_head(about["config"]["model"]["head"]).exclusive
    folds = [_fold(run, k) for k in range(about["folds"])]
    measured = all(fold.metrics is not None for fold in folds)  # else what is there is of models that are gone
    return RunResults(
        name=_name(layout.folder.resolve()),
        run=about,
        counts=count_labels(run.splits, not exclusive, run.classes) if run.folds else None,
        folds=folds,
        evaluation=_json(layout.evaluation) if measured else None,
        figures=dict(_figures(layout)) if len(folds) > 1 else {},
        sheets=_sheets(layout),
        pictures={file.stem: file for file in layout.sheets.glob("*.png")},
        flags=_flags(run),
    )


def _name(folder: Path) -> str:
    """Most runs are called "run": the folder that they lie in says of what."""
    return " / ".join(part for part in (folder.parent.name, folder.name) if part)


def _flags(run: Run) -> dict[str, list[str]]:
    least = run.config.prepare.tissue.least_share
    states = {str(slide_id): read_state(run.layout.records, str(slide_id)) for slide_id in run.manifest["slide_id"]}
    found = {slide_id: remarks(state, least) for slide_id, state in states.items()}
    return {slide_id: texts for slide_id, texts in found.items() if texts}


def _fold(run: Run, fold: int) -> FoldResults:
    files = run.layout.fold(fold)
    bad = _csv(files.bad_slides, ["slide_id"], dtype=str, keep_default_na=False)
    slides = files.table("slides")
    return FoldResults(
        fold=fold,
        trained=files.is_trained,
        metrics=_json(files.metrics),
        slides=read_table(slides) if slides.exists() else None,
        history=_csv(files.history, ["loss"]),
        bad_slides=[] if bad is None else bad.to_dict("records"),
        figures=dict(_figures(files)),
        seconds=Checkpoints(files.checkpoints).seconds(),
        attention=fold_attention(run, fold),
        amiss=fold_verdict(run, fold),
    )


def _figures(files: ResultFiles) -> Iterator[tuple[str, bytes]]:
    for name in FIGURES:
        file = files.figure(name)
        if file.exists():
            yield name, file.read_bytes()


def _sheets(layout: RunLayout) -> dict[str, str]:
    folder, run = layout.sheets.resolve(), layout.folder.resolve()
    if not folder.is_dir():
        return {}
    # Relative where they lie in the run's folder, so that it may be moved.
    where = quote(str(folder.relative_to(run))) if folder.is_relative_to(run) else folder.as_uri()
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


def _csv(file: Path, columns: list[str], **options: Any) -> pd.DataFrame | None:
    if not file.exists():
        return None
    table = read_kept(file, columns, "bring back a copy of it, or remove it to do without", **options)
    return table if len(table) else None
