"""Rules of patients and labels: the kind of label, the division, the weights of classes."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from ats_mag.cohort.manifest import MULTI_LABEL, label_parts
from ats_mag.cohort.patient_division import SplitError, divide, manifest_parts
from ats_mag.cohort.splits import check_fold, fold_names
from ats_mag.planning.draft import Draft
from ats_mag.planning.facts import Facts

HOLDOUT = 100  # patients from which one division is enough
FOLDS = 5
FEW = 10  # patients for training of which none can be spared for validation
IMBALANCE = 1.5  # slides of the largest class for one of the smallest


def choose_labels(draft: Draft, facts: Facts) -> None:
    """`model.head` and the weights of classes.

    Raises:
        ValueError: there is one class only.
    """
    labels = facts.readable["label"]
    several = bool(labels.str.contains(MULTI_LABEL, regex=False).any())
    draft.choose(
        "model.head",
        "multi_label" if several else "single_label",
        f"Labels are {'sets' if several else 'one a slide'}.",
    )
    counts = count_classes(facts.readable)
    if len(counts) < 2 and draft["model.head"] != "multi_label":
        names = ", ".join(map(repr, counts))
        raise ValueError(
            f"the slides that can be read are of {len(counts)} class ({names}); two are needed to plan a run"
        )
    most, least = max(counts.values()), min(counts.values())
    balance = most > IMBALANCE * least and draft["model.head"] != "multi_label"
    balance = balance and draft["train.sampling"] != "balanced"
    draft.choose(
        "train.class_weights",
        "balanced" if balance else "none",
        f"Slides of a class: {', '.join(f'{name} {count}' for name, count in counts.items())}; balanced where the largest "
        f"has over {IMBALANCE:g} times the smallest.",
    )


def count_classes(manifest: pd.DataFrame, of: str = "slide_id") -> dict[str, int]:
    """Slides of every class; with `patient_id`, patients. A set of labels counts for each."""
    rows = manifest.assign(label=manifest["label"].map(label_parts)).explode("label")
    return {str(name): int(count) for name, count in rows.groupby("label")[of].nunique().items()}


def choose_division(draft: Draft, facts: Facts) -> pd.DataFrame | None:
    """How patients are divided: the first of several ways under which every class can be learnt.

    Returns:
        The division of the readable slides; None: there is none, and `validate` will say why.
    """
    manifest = facts.readable
    for keys in _ways(manifest):
        chosen = {key: value for key, (value, _) in keys.items() if not draft.is_given(f"splits.{key}")}
        settings = draft.config().splits.model_copy(update=chosen)
        try:
            splits = divide(facts.manifest, settings)
            splits = splits[splits["slide_id"].isin(manifest["slide_id"])]
            for fold in range(len(fold_names(splits))):
                check_fold(splits, fold, draft["model.head"] == "multi_label", list(count_classes(manifest)))
        except SplitError:
            continue
        for key, (value, why) in keys.items():
            draft.choose(f"splits.{key}", value, why)
        return splits
    return None


def _ways(manifest: pd.DataFrame) -> Iterator[dict[str, tuple[object, str]]]:
    """Divisions, the best first: values of `splits` and why."""
    patients = manifest["patient_id"].nunique()
    counts = count_classes(manifest, "patient_id")
    rarest = min(counts, key=lambda name: counts[name])
    have = f"{patients} patients, of the rarest class, {rarest}, {counts[rarest]}"
    try:
        parts = set(manifest_parts(manifest))
    except SplitError:
        parts = set()
    if {"train", "test"} <= parts:
        own = "The manifest's column split says it."
        named = manifest.loc[manifest_parts(manifest) == "train", "patient_id"].nunique()
        yield {"kind": ("manifest", own), "validation": _validation(named, "validation" in parts)}
    if patients >= HOLDOUT:
        yield {
            "kind": ("holdout", f"{have}: with {HOLDOUT} or more one division is enough."),
            "test": (0.2, f"{round(0.2 * patients)} of {patients} patients."),
            "validation": _validation(round(0.8 * patients)),
        }
    folds = min(FOLDS, counts[rarest])
    for number in dict.fromkeys((folds, 2)):
        if number >= 2:
            yield {
                "kind": ("kfold", f"{have}: below {HOLDOUT} each is tested once."),
                "folds": (number, f"{FOLDS}, but no more than the rarest class has patients ({counts[rarest]})."),
                "validation": _validation(round(patients * (1 - 1 / number))),
            }
    few = f"{have}: too few for folds of which each could learn every class."
    yield {"kind": ("holdout", few), "test": (0.2, few), "validation": (0.0, "None can be spared.")}
    yield {"kind": ("holdout", few), "test": (0.0, few), "validation": (0.0, "None can be spared.")}


def _validation(training: int, named: bool = False) -> tuple[float, str]:
    if named:
        return 0.0, "The manifest names the patients for validation."
    if training < FEW:
        return 0.0, f"{training} patients to train on: below {FEW} none is spared."
    share = 0.2 if training < HOLDOUT else 0.15
    return share, f"Of {training} patients to train on, {round(share * training)} choose the epoch that is kept."
