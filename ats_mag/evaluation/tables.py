"""Predictions as tables: a row per slide, a row per patient."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ats_mag.cohort.label_sets import label_parts
from ats_mag.evaluation.scored_table import Scored
from ats_mag.model.decide import decided_label


def slide_table(slides: pd.DataFrame, draws: np.ndarray, classes: list[str], exclusive: bool, sd: bool) -> pd.DataFrame:
    """Predictions of slides.

    Args:
        slides: `slide_id`, `patient_id` and `label` of n slides.
        draws: `(D, n, C)` probabilities of each draw.
        classes: C names.
        exclusive: whether a slide has exactly one class.
        sd: whether to add the columns of the standard deviation.

    Returns:
        The columns of `slides`; `p_CLASS`, the mean probability over the draws; `predicted`, the most probable class, or
        all classes above 0.5, joined by ";"; `sd_CLASS`, the standard deviation over the draws (divided by D - 1): of
        one draw's probability, ``sqrt(D)`` times that of their mean.
    """
    columns = ["slide_id", "patient_id", "label"]
    return _with_predictions(slides[columns].reset_index(drop=True), draws, classes, exclusive, sd)


def patient_table(
    slides: pd.DataFrame, draws: np.ndarray, classes: list[str], exclusive: bool, sd: bool
) -> pd.DataFrame:
    """Predictions of patients: the mean of their slides' probabilities.

    A patient's label is that of the slides. Where slides of a patient differ: with one class per slide the label is
    empty, and the patient is left out of the measures (none of the labels would be right for all slides); with several
    labels per slide the patient has every label that any of the slides has.

    Args:
        slides, draws, classes, exclusive, sd: as for `slide_table`.

    Returns:
        `patient_id`, `slides` (their number), `label`, and the columns of the predictions; patients in order of their id.
    """
    names, number = np.unique(slides["patient_id"].to_numpy(str), return_inverse=True)
    member = (number == np.arange(len(names))[:, None]).astype(float)
    count = member.sum(axis=1)
    of_patients = np.einsum("ps,dsc->dpc", member / np.maximum(count, 1)[:, None], draws)
    labels = slides["label"].groupby(slides["patient_id"].to_numpy(str)).unique()
    table = pd.DataFrame(
        {
            "patient_id": names,
            "slides": count.astype(int),
            "label": [_label_of(labels[name], classes, exclusive) for name in names],
        }
    )
    return _with_predictions(table, of_patients, classes, exclusive, sd)


def score_table(table: pd.DataFrame, name: str, unit: str, classes: list[str], exclusive: bool) -> Scored:
    """The rows of a table that have a label, beside their truth.

    Args:
        table: as `slide_table` or `patient_table` give it.
        name, unit, classes, exclusive: of `Scored`.

    Raises:
        RecordError: a label that is none of `classes`.
    """
    from ats_mag.records.record import encode_label

    if exclusive:
        table = table[table["label"] != ""]
    ids = table["slide_id"] if "slide_id" in table else table["patient_id"]
    truth = np.zeros((len(table), len(classes)), bool)
    for i, (row_id, label) in enumerate(zip(ids, table["label"], strict=True)):
        value = encode_label(label, classes, not exclusive, row_id)
        truth[i] = np.arange(len(classes)) == value if exclusive else value > 0
    probabilities = table[[f"p_{c}" for c in classes]].to_numpy(float)
    return Scored(name, unit, classes, truth, probabilities, table["patient_id"].to_numpy(str), exclusive)


def _label_of(labels: np.ndarray, classes: list[str], exclusive: bool) -> str:
    if exclusive:
        return labels[0] if len(labels) == 1 else ""
    found = {part for label in labels for part in label_parts(label)}
    return ";".join(sorted(found, key=lambda part: (part not in classes, part)))


def _with_predictions(
    table: pd.DataFrame, draws: np.ndarray, classes: list[str], exclusive: bool, sd: bool
) -> pd.DataFrame:
    mean = draws.mean(axis=0)
    for c, name in enumerate(classes):
        table[f"p_{name}"] = mean[:, c]
    table["predicted"] = [decided_label(row, classes, exclusive) for row in mean]
    if sd:
        spread = draws.std(axis=0, ddof=1) if len(draws) > 1 else np.zeros_like(mean)
        for c, name in enumerate(classes):
            table[f"sd_{name}"] = spread[:, c]
    return table
