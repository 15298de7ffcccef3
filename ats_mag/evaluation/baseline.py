"""What can be told without a model: the commonest class, and colour histograms of the overviews, on the same test slides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ats_mag.cohort.manifest import label_parts
from ats_mag.cohort.splits import part_of
from ats_mag.evaluation.colour_histograms import histograms, predict
from ats_mag.evaluation.measures import measures
from ats_mag.evaluation.tables import patient_table, score_table, slide_table
from ats_mag.runs.layout import LEVELS

if TYPE_CHECKING:
    from ats_mag.runs.run import Run

MAJORITY, COLOUR = "majority_class", "colour_histogram"
WORDS = {MAJORITY: "majority class", COLOUR: "colour histogram"}


def baselines(run: Run, fold: int, tested: list[dict[str, Any]], classes: list[str], exclusive: bool) -> dict[str, Any]:
    """Measures the baselines on a fold's test slides; they learn from its slides for training and validation.

    Args:
        run: the run.
        fold: K.
        tested: records of the test slides that the model was measured on.
        classes, exclusive: of the model.

    Returns:
        By name of `WORDS` a dict: `slides` and `patients`, each a dict of the values of `measures`; and `trained_on`, how many
        slides it learnt from. None in the place of a baseline that has nothing to learn from; `problem`: why no record of the
        other slides can be used, where that is so.
    """
    from ats_mag.records.record import RecordError
    from ats_mag.runs.usable_records import usable_records

    splits = run.splits
    names = [slide for part in ("train", "validation") for slide in part_of(splits, fold, part)]
    found: dict[str, Any] = dict.fromkeys(WORDS)
    try:
        records = usable_records(run, names, skip=True) if names and tested else {}
    except RecordError as error:  # the model may be measured all the same
        return found | {"problem": str(error)}
    train = splits[splits["slide_id"].isin(records)]
    slides = splits.set_index("slide_id", drop=False).loc[[r["slide_id"] for r in tested]]
    varied = len(set(train["label"])) > 1
    if len(train) and len(slides):
        shares = class_shares(train["label"], classes, exclusive)
        found[MAJORITY] = _measured(np.tile(shares, (len(slides), 1)), slides, classes, exclusive, len(train))
    if varied and len(slides):
        root = run.config.data.slides
        of_train, of_test = (histograms(part, root) for part in ([records[s] for s in train["slide_id"]], tested))
        probabilities = predict(of_train, train, classes, exclusive, of_test)
        found[COLOUR] = _measured(probabilities, slides, classes, exclusive, len(train))
    return found


def class_shares(labels: pd.Series, classes: list[str], exclusive: bool) -> np.ndarray:
    """The share of the slides that have each class, `(C,)`."""
    sets = [label_parts(label) for label in labels] if not exclusive else [[label] for label in labels]
    return np.array([np.mean([name in parts for parts in sets]) for name in classes])


def mean_over_folds(of_folds: list[dict[str, Any] | None]) -> dict[str, Any]:
    """The mean of each measure over the folds in which it is defined; None for a baseline that no fold has."""
    found: dict[str, Any] = {}
    for name in WORDS:
        there = [fold[name] for fold in of_folds if fold is not None and fold.get(name) is not None]
        found[name] = {level: _mean([one[level] for one in there]) for level in LEVELS} if there else None
    return found


def _mean(of_folds: list[dict[str, float | None]]) -> dict[str, float]:
    means = {}
    for name in of_folds[0]:
        values = [value for fold in of_folds if (value := fold[name]) is not None and value == value]
        means[name] = float(np.mean(values)) if values else float("nan")
    return means


def _measured(
    probabilities: np.ndarray, slides: pd.DataFrame, classes: list[str], exclusive: bool, trained_on: int
) -> dict[str, Any]:
    tables = [make(slides, probabilities[None], classes, exclusive, sd=False) for make in (slide_table, patient_table)]
    units = zip(LEVELS, ("slide", "patient"), tables, strict=True)
    scored = {level: score_table(table, level, unit, classes, exclusive) for level, unit, table in units}
    return {"trained_on": trained_on} | {level: measures(scored[level], warn=False) for level in LEVELS}
