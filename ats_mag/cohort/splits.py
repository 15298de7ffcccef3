"""Which patients a model is trained, validated and tested on: divided once, stored, and checked whenever it is read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from ats_mag.cohort.label_sets import label_parts
from ats_mag.cohort.patient_division import SplitError, divide, manifest_parts
from ats_mag.system.tables import TableError, read_frame

if TYPE_CHECKING:
    from ats_mag.config.schema import SplitConfig

PARTS = ("train", "validation", "test")
_FOLD = "fold_"


def load_splits(file: Path, settings: SplitConfig, manifest: pd.DataFrame) -> pd.DataFrame:
    """The division of a run's patients: the stored one, or, before one was stored, a new one.

    Args:
        file: that holds it, or will.
        settings: how patients are divided.
        manifest: as `load_manifest` gives it.

    Returns:
        A table of text with a row per slide: `slide_id`, `patient_id`, `label`, `site` where the manifest has sites, and
        `fold_0`, `fold_1`...: `train`, `validation` or `test`.

    Raises:
        SplitError: the patients cannot be divided as asked; or the file names a patient in two parts of a fold, other
            slides, patients or labels (and sites and parts, where these decide) than the manifest, another number of
            folds than the configuration, or no part.
    """
    if file.exists():
        splits = read_splits(file)
        _check(file, splits, manifest, settings.by_site)
        if settings.kind == "manifest":
            _check_parts(file, splits, manifest)
        folds = settings.folds if settings.kind == "kfold" else 1
        if len(fold_names(splits)) != folds:
            raise SplitError(
                f"{str(file)!r} has {len(fold_names(splits))} fold(s), the configuration asks for {folds}. {_MEND}"
            )
        return splits
    return divide(manifest, settings)


def splits_content(file: Path, splits: pd.DataFrame) -> bytes:
    """What the file of a division holds, or will hold."""
    return file.read_bytes() if file.exists() else splits.to_csv(index=False).encode()


_MEND = (
    "Remove the file to have the patients divided anew (what was trained on the old division is then not comparable), "
    "or use another `run` folder"
)


def fold_names(splits: pd.DataFrame) -> list[str]:
    """The columns of the folds, in order."""
    return [f"{_FOLD}{i}" for i in range(sum(str(name).startswith(_FOLD) for name in splits))]


def part_of(splits: pd.DataFrame, fold: int, part: str) -> list[str]:
    """The ids of the slides of one part of one fold, in the manifest's order.

    Args:
        splits: as `load_splits` gives it.
        fold: its number, from 0.
        part: `train`, `validation` or `test`.

    Raises:
        ValueError: there is no such fold or part.
    """
    if part not in PARTS:
        raise ValueError(f"a part is one of {', '.join(PARTS)}. Received: {part!r}")
    if not 0 <= fold < len(fold_names(splits)):
        raise ValueError(f"the run has the folds 0 to {len(fold_names(splits)) - 1}. Received: {fold}")
    return splits["slide_id"][splits[f"{_FOLD}{fold}"] == part].tolist()


def count_labels(splits: pd.DataFrame, multi_label: bool = False, classes: Sequence[str] | None = None) -> pd.DataFrame:
    """Slides and patients by fold (number), part and label, in that order; labels that a part lacks count 0.

    Args:
        splits: as `load_splits` gives it.
        multi_label: whether labels are sets such as "a;b": a slide counts for each of its labels.
        classes: the labels to count. None: those of `splits`.
    """
    labels = splits["label"].map(lambda label: label_parts(label) if multi_label else [label])
    slides = splits.assign(label=labels).explode("label")
    names = sorted(slides["label"].dropna().unique()) if classes is None else classes
    rows = []
    for fold, column in enumerate(fold_names(splits)):
        for part in PARTS:
            of_part = slides[slides[column] == part]
            if of_part.empty:
                continue
            for label in names:
                of_label = of_part[of_part["label"] == label]
                rows.append((fold, part, label, of_label["slide_id"].nunique(), of_label["patient_id"].nunique()))
    return pd.DataFrame(rows, columns=["fold", "part", "label", "slides", "patients"])


def check_fold(
    splits: pd.DataFrame, fold: int, multi_label: bool = False, classes: Sequence[str] | None = None
) -> list[str]:
    """What makes a fold's measures doubtful, in words; to be called before training.

    Args:
        splits: as `load_splits` gives it.
        fold: its number, from 0.
        multi_label: whether labels are sets such as "a;b".
        classes: that there should be. None: those of `splits`.

    Returns:
        A sentence per part that has slides of one class only, or lacks a class.

    Raises:
        SplitError: the training part is empty or lacks a class, so that the model could not learn it.
    """
    counts = count_labels(splits, multi_label, classes)
    counts = counts[counts["fold"] == fold]
    notes = []
    for part in PARTS:
        of_part = counts[counts["part"] == part]
        lacking = of_part["label"][of_part["slides"] == 0].tolist()
        present = of_part["label"][of_part["slides"] > 0].tolist()
        if part == "train" and (lacking or not present):
            what = f"lacks the class(es) {', '.join(map(repr, lacking))}" if present else "is empty"
            raise SplitError(
                f"the training part of fold {fold} {what}: use fewer folds, smaller shares (`splits.test`, `splits.validation`), "
                "another `splits.seed`, or leave such slides out by `data.labels`"
            )
        if len(present) == 1 and (lacking or not multi_label):
            notes.append(f"fold {fold}: the {part} part has slides of one class only, {present[0]!r}")
        elif lacking:
            notes.append(f"fold {fold}: the {part} part has no slide of {', '.join(map(repr, lacking))}")
    return notes


def patients_across(splits: pd.DataFrame) -> list[dict[str, str]]:
    """Patients with slides in several parts of a fold: `patient_id`, `fold` (the column's name) and `parts`."""
    found = []
    for name in fold_names(splits):
        parts = splits.groupby("patient_id")[name].unique()
        found += [
            {"patient_id": str(patient), "fold": name, "parts": " and ".join(sorted(of_patient))}
            for patient, of_patient in parts[parts.map(len) > 1].items()
        ]
    return found


def read_splits(file: Path) -> pd.DataFrame:
    """Reads a stored division; `load_splits` also checks it against the manifest.

    Raises:
        SplitError: it cannot be read, lacks a column, or names no part of a slide.
    """
    try:
        splits = read_frame(file)
    except TableError as error:
        raise SplitError(f"{error}. {_MEND}") from error
    folds = fold_names(splits)
    missing = [name for name in ("slide_id", "patient_id", "label", *(folds or ["fold_0"])) if name not in splits]
    if missing:
        raise SplitError(f"{str(file)!r} lacks the column(s) {', '.join(missing)}. {_MEND}")
    for name in folds:
        wrong = splits[~splits[name].isin(PARTS)]
        if len(wrong):
            raise SplitError(
                f"{str(file)!r}: slide {wrong['slide_id'].iloc[0]!r} has {wrong[name].iloc[0]!r} as {name}; it must be one "
                f"of {', '.join(PARTS)}. {_MEND}"
            )
    return splits


def _check(file: Path, splits: pd.DataFrame, manifest: pd.DataFrame, by_site: bool) -> None:
    where = repr(str(file))
    double = splits["slide_id"][splits["slide_id"].duplicated()]
    if len(double):
        raise SplitError(f"{where}: slide {double.iloc[0]!r} stands in several rows. {_MEND}")
    here, there = set(splits["slide_id"]), set(manifest["slide_id"])
    for slides, what in (
        (here - there, "that the manifest does not name: put them back into it"),
        (there - here, "too few, which the manifest names: take them out of it"),
    ):
        if slides:
            raise SplitError(f"{where} has {len(slides)} slide(s) {what} ({_some(slides)}). {_MEND}")
    truth = manifest.set_index("slide_id")
    for name in ("patient_id", "label", *(["site"] if by_site else [])):
        stated = splits[name] if name in splits else pd.Series("", splits.index)
        other = splits[stated.to_numpy() != truth.loc[splits["slide_id"], name].to_numpy()]
        if len(other):
            raise SplitError(
                f"{where} states another {name} than the manifest of {len(other)} slide(s) ({_some(other['slide_id'])}). "
                f"{_MEND}"
            )
    across = patients_across(splits)
    if across:
        listed = "; ".join(f"{row['patient_id']!r} in {row['parts']} of {row['fold']}" for row in across[:5])
        raise SplitError(
            f"{where}: {len({row['patient_id'] for row in across})} patient(s) stand in several parts of a fold ({listed}): a "
            "model would be tested on patients that it knows. Correct the file, or remove it to have the patients divided anew"
        )


def _check_parts(file: Path, splits: pd.DataFrame, manifest: pd.DataFrame) -> None:
    """That the stored parts are those of the manifest; of its training part some may have been drawn for validation."""
    parts = pd.Series(manifest_parts(manifest).to_numpy(), manifest["slide_id"]).loc[splits["slide_id"]].to_numpy()
    drawn = (parts == "train") & (splits["fold_0"] == "validation") & ~(parts == "validation").any()
    other = splits["slide_id"][(splits["fold_0"] != parts) & ~drawn]
    if len(other):
        raise SplitError(
            f"{str(file)!r} has {len(other)} slide(s) in another part than the manifest's column `split` ({_some(other)}). "
            f"{_MEND}"
        )


def _some(slides: object) -> str:
    names = sorted(slides)  # type: ignore[call-overload]
    return ", ".join(map(repr, names[:5])) + (", ..." if len(names) > 5 else "")
