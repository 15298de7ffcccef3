"""The records of a fold."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import pandas as pd

from ats_mag.cohort.label_sets import label_parts
from ats_mag.cohort.patient_division import SplitError
from ats_mag.cohort.splits import check_fold, part_of
from ats_mag.runs.usable_records import usable_records

if TYPE_CHECKING:
    from ats_mag.runs.run import Run

_PARTS = ("train", "validation")
_SHOWN = 10


def fold_records(run: Run, fold: int) -> dict[str, list[dict[str, Any]]]:
    """The records of the slides that the run's splits put into training and validation of a fold.

    Args:
        run: the run.
        fold: its number.

    Returns:
        By part, `train` and `validation`, as `find_records` gives them, with the labels of the splits.

    Raises:
        RecordError: records that are damaged, or made otherwise than they would be now.
        SplitError: the training slides that have a record lack a class.
        ValueError: the splits have no such fold; slides have no record, unless `prepare.on_bad_slide` is `skip`, which
            only warns.
    """
    config, splits = run.config, run.splits
    if fold not in run.folds:
        raise ValueError(
            f"the splits of {str(config.run)!r} have the folds 0 to {run.folds[-1]}. Received: fold {fold}"
        )
    wanted = [name for part in _PARTS for name in part_of(splits, fold, part)]
    records = usable_records(run, wanted, config.train.on_bad_slide == "skip")
    labels = dict(zip(splits["slide_id"], splits["label"], strict=True))
    parts: dict[str, list[dict[str, Any]]] = {}
    missing = []
    for part in _PARTS:
        names = part_of(splits, fold, part)
        missing += [name for name in names if name not in records]
        parts[part] = [{**records[name], "label": labels[name]} for name in names if name in records]
    if missing:
        shown = ", ".join(missing[:_SHOWN]) + (f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else "")
        text = f"{len(missing)} slides of fold {fold} have no record in {str(config.records)!r}: {shown}"
        if config.prepare.on_bad_slide == "raise":
            raise ValueError(
                f"{text}. Run `ats-mag prepare`; to train without slides that cannot be prepared, set "
                "prepare.on_bad_slide: skip"
            )
        warnings.warn(f"{text}; they are left out", stacklevel=3)
    _check_classes(run, splits[splits["slide_id"].isin(records)], fold)
    return parts


def _check_classes(run: Run, present: pd.DataFrame, fold: int) -> None:
    """That the slides with a record, those of the test part aside, show every class; warns of a part that does not."""
    labels = sorted(set(run.splits["label"]))
    classes = sorted({name for label in labels for name in label_parts(label)}) if run.multi_label else labels
    try:
        notes = check_fold(present, fold, run.multi_label, classes)
    except SplitError as error:
        raise SplitError(
            f"of the slides that have a record, {error}; or have `ats-mag prepare` make the missing ones"
        ) from error
    for note in notes:
        warnings.warn(note, stacklevel=4)
