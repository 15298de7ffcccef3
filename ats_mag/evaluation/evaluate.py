"""Measuring the model of a fold on the fold's test slides."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ats_mag.evaluation.baseline import baselines
from ats_mag.evaluation.intervals import measure_level
from ats_mag.evaluation.measures import measures
from ats_mag.evaluation.predict_records import Progress, predict_records
from ats_mag.evaluation.result_files import write_json, write_table
from ats_mag.evaluation.sampling_noise import sampling_noise
from ats_mag.evaluation.scored_table import EvaluationWarning, Scored
from ats_mag.evaluation.tables import patient_table, score_table, slide_table
from ats_mag.model.heads import get_head
from ats_mag.runs.features_seen import cached_features
from ats_mag.runs.layout import LEVELS, FoldFiles
from ats_mag.runs.usable_records import usable_records
from ats_mag.slides.copies.local_copies import LocalCopies
from ats_mag.system.atomic_files import digest

if TYPE_CHECKING:
    from ats_mag.config.schema import EvaluateConfig
    from ats_mag.model.classifier import SlideClassifier
    from ats_mag.runs.run import Run


def evaluate(
    model: SlideClassifier,
    records: list[dict[str, Any]],
    slide_root: str | os.PathLike[str],
    copies: LocalCopies | None = None,
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Predicts records and measures the predictions, slide by slide.

    Args:
        model: to evaluate; its `on_error` becomes `raise`, as a slide that is partly read must not pass as measured.
        records: as `find_records` gives them.
        slide_root: folder that the records' paths are relative to.
        copies: where to copy slides to ahead of their use; None: they are read where they are.

    Returns:
        The table of `slide_table`, and the values of `measures`.

    Raises:
        RecordError: a label that the model does not know.
        SlideError, OSError: a slide that cannot be read.
    """
    exclusive = model.head_kind.exclusive
    model.on_error = "raise"
    predictions = predict_records(model, records, slide_root, copies=copies)
    slides = pd.DataFrame(records, columns=["slide_id", "patient_id", "label"])
    table = slide_table(slides, predictions.draws, model.classes, exclusive, sd=False)
    return table, measures(score_table(table, "slides", "slide", model.classes, exclusive))


def evaluate_fold(run: Run, fold: int, progress: Progress | None = None) -> dict[str, Any]:
    """Predicts a fold's test slides with the fold's model, and measures the predictions of slides and patients.

    Writes into `fold-K` of the run: `slides.csv` and `patients.csv` (see `tables`), `metrics.json` (what is returned, NaN
    as null), and where the configuration says so the figures of `figures.draw_figures`.

    Args:
        run: the run.
        fold: K.
        progress: wraps the iteration over the slides, given their number.

    Returns:
        `fold`, `model_sha256` of the model's file, `classes`, `head`, `method` (how patches were drawn), `draws` per slide,
        which is 1 where the method takes the same patches every time, `draws_asked`, `confidence`, `resamples`;
        `without_record` and `patients_without_label`, lists of ids; `unreadable`, errors by slide id; `slides` and
        `patients`, each as `measure_level` gives it; `sampling_noise` and `baseline` (see `baseline.baselines`), see the functions; `attention`,
        means over the test slides: `spread` (see `attention_state.spread_of`) and `mass` by magnification.

    Raises:
        FileNotFoundError: no model of the fold.
        RecordError, SlideError, OSError, ValueError: records or slides that cannot be used; or a model of another run.

    Warns:
        UndefinedMeasureWarning: of measures that the test slides do not define.
        EvaluationWarning: of slides and patients that are not measured.
    """
    from ats_mag.model.saving import load_classifier

    options, files = run.config.evaluate, run.layout.fold(fold)
    wanted = run.test_slides(fold)
    file = files.trained_model()
    model_sha256, model = digest(file), load_classifier(file)
    if list(model.classes) != run.classes:
        raise ValueError(
            f"{str(file)!r} has the classes {', '.join(model.classes)}, the run has {', '.join(run.classes)}: it is the model of another "
            "run; bring back this run's own"
        )
    model.test_method = options.method or model.test_method
    model.on_error = "raise"  # a slide that is partly read must not pass as measured
    skip = options.on_bad_slide == "skip"
    records = usable_records(run, wanted["slide_id"], skip) if len(wanted) else {}
    without = [slide for slide in wanted["slide_id"] if slide not in records]
    copies = run.local_copies()
    with cached_features(run, model, copies):
        predictions = predict_records(
            model,
            [records[slide] for slide in wanted["slide_id"] if slide in records],
            run.config.data.slides,
            options.draws,
            copies,
            skip,
            progress,
        )
    slides = wanted.set_index("slide_id", drop=False).loc[[r["slide_id"] for r in predictions.records]]
    about = {
        "fold": fold,
        "model_sha256": model_sha256,
        "classes": model.classes,
        "head": model.head_kind.name,
        "method": model.test_method,
        "without_record": without,
        "unreadable": predictions.unreadable,
        "attention": {
            "spread": float(predictions.spread.mean()) if len(predictions.spread) else None,
            "mass": dict(zip(map("{:g}".format, model.magnifications), predictions.mass.mean(0).tolist(), strict=True))
            if len(predictions.mass)
            else {},
        },
        "baseline": baselines(run, fold, predictions.records, model.classes, model.head_kind.exclusive),
    }
    return measure_predictions(options, files, slides, predictions.draws, about)


def measure_predictions(
    options: EvaluateConfig, files: FoldFiles, slides: pd.DataFrame, draws: np.ndarray, about: dict[str, Any]
) -> dict[str, Any]:
    """Measures predictions of a fold's test slides, whatever made them, and writes tables, measures and figures.

    Args:
        options: how to measure.
        files: to write; their folder is made where absent.
        slides: `slide_id`, `patient_id` and `label` of n slides.
        draws: `(D, n, C)` probabilities of each draw.
        about: `fold`, `classes`, `head`, `method`, `without_record` and `unreadable`, see `evaluate_fold`; `baseline` and `attention` are its alone.

    Returns:
        As `evaluate_fold`.
    """
    classes, exclusive = about["classes"], get_head(about["head"]).exclusive
    columns = (classes, exclusive, options.draws > 1)
    patients = patient_table(slides, draws, *columns)
    tables = {"slides": slide_table(slides, draws, *columns), "patients": patients}
    unlabelled = patients.loc[patients["label"] == "", "patient_id"].tolist() if exclusive else []
    found = about | {
        "draws": len(draws),
        "draws_asked": options.draws,
        "confidence": options.confidence,
        "resamples": options.resamples,
        "patients_without_label": unlabelled,
    }
    _warn_of_left_out(found)
    scored = score_tables(tables, f"fold {about['fold']}", classes, exclusive)
    found |= measure_tables(scored, options)
    found["sampling_noise"] = sampling_noise(scored["slides"], draws)
    files.folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        write_table(table, files.table(name))
    if options.figures:
        from ats_mag.evaluation.figures import draw_figures

        draw_figures(files, scored, found)
    write_json(found, files.metrics)
    return found


def score_tables(tables: dict[str, pd.DataFrame], name: str, classes: list[str], exclusive: bool) -> dict[str, Scored]:
    """The tables of slides and patients beside their truth; `name` says whose they are."""
    units = zip(LEVELS, ("slide", "patient"), strict=True)
    return {level: score_table(tables[level], f"{name}, {level}", unit, classes, exclusive) for level, unit in units}


def measure_tables(scored: dict[str, Scored], options: EvaluateConfig) -> dict[str, Any]:
    """`measure_level` of slides and of patients."""
    return {level: measure_level(scored[level], options.resamples, options.confidence) for level in LEVELS}


def _warn_of_left_out(found: dict[str, Any]) -> None:
    reasons = {
        "without_record": "test slides have no record and are not measured (run `ats-mag prepare`)",
        "unreadable": "test slides could not be read and are not measured (metrics.json says why)",
        "patients_without_label": "patients have slides of different labels and are not measured as patients",
    }
    for key, reason in reasons.items():
        if found[key]:
            names = ", ".join(map(repr, found[key]))
            warnings.warn(f"fold {found['fold']}: {len(found[key])} {reason}: {names}", EvaluationWarning, stacklevel=4)
