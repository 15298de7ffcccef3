"""BACH (ICIAR 2018), part A, as a cohort: breast fields that are normal, benign, carcinoma in situ or invasive.

    python -m data_prep.bach ICIAR2018_BACH_Challenge runs/bach --patients patients.xlsx
    ats-mag validate runs/bach/config.yaml     # then prepare, train and evaluate

The first argument is the unpacked folder with `Photos` in it, or `Photos` itself: 100 TIFF files of 2048 x 1536 pixels at
0.42 um/px in each of `Normal`, `Benign`, `InSitu` and `Invasive`. The whole slides (`WSI`) and the test photographs, which
have no labels, are not used.

The organisers publish the patients of a part of the fields; given that table, all fields of a patient stay on one side of
every split. Fields that it does not list come from other patients than those it lists, and each counts as a patient.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from ats_mag.cli.script import make_cohort, warn
from ats_mag.cohort.field_cohort import FieldCohort
from ats_mag.system.tables import read_table
from data_prep.bach.patients import read_patients

MPP = 0.42  # um/px, stated by the challenge
SIZE = (2048, 1536)  # pixels of a field
CLASSES = ("Normal", "Benign", "InSitu", "Invasive")
SUFFIXES = (".tif", ".tiff")

_HEAD = """\
BACH, part A: breast fields of 860 x 645 um in four classes.
Made by data_prep.bach; relative paths are relative to this file's folder."""
_NOTES = {
    "data.labels": "The classes in the order of the challenge.",
    "splits.kind": "Divided by patients, as far as they are known, with all classes on every side.",
    "prepare.overview_mpp": "A field is small: 3.36 instead of a slide's 8 give an overview of 256 x 192 pixels.",
    "prepare.empty_mask": "A field is tissue all over: one without contrast between tissue and glass is looked at whole.",
    "model.magnifications": "Nuclei at full resolution (94 um a patch), and ducts and lobules (376 um).",
    "model.stride": "Overview pixels per cell: 32 x 24 cells of 27 um a field.",
    "train.batch_size": "For a GPU. Without one, patches of 96 pixels train several times faster.",
}


def configuration(folds: int) -> dict[str, Any]:
    """What suits fields: a fine overview, and patches that are a part of the field at each magnification."""
    return {
        "data": {
            "slides": "slides",
            "manifest": "manifest.csv",
            "labels": {name: name for name in CLASSES},
        },
        "splits": {"kind": "kfold", "folds": folds, "validation": 0.15, "seed": 0},
        "prepare": {"overview_mpp": 8 * MPP, "empty_mask": "whole"},
        "model": {"magnifications": [MPP, 4 * MPP], "patch_size": 224, "n_patches": 16, "stride": 8},
        "train": {
            "epochs": 100,
            "batch_size": 8,
            "schedule": "cosine",
            "augment": {"flips": True, "stain": 0.1, "brightness": 0.05, "contrast": 0.1},
            "patience": 30,
            "monitor": "val_accuracy",
            "seed": 0,
        },
    }


def read_fields(folder: Path) -> tuple[pd.DataFrame, list[Path]]:
    """The labelled fields, and the files beside them that are none.

    Returns:
        A table with `image` and `label`; the files that were left aside.

    Raises:
        FileNotFoundError: no class folder, or one without pictures.
        ValueError: `microscopy_ground_truth.csv` is there and says otherwise than the folders.
    """
    nested = [folder, folder / "Photos", folder / "ICIAR2018_BACH_Challenge" / "Photos"]
    photos = next((place for place in nested if any((place / name).is_dir() for name in CLASSES)), None)
    if photos is None:
        raise FileNotFoundError(
            f"{str(folder)!r} holds no photographs: expected the folders {', '.join(CLASSES)} in it or in its 'Photos'"
        )
    rows, aside = [], []
    for label in CLASSES:
        files = sorted((photos / label).iterdir()) if (photos / label).is_dir() else []
        fields = [file for file in files if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")]
        if not fields:
            raise FileNotFoundError(f"{str(photos / label)!r} holds no TIFF files: unpack the data set again")
        rows += [{"image": file, "label": label} for file in fields]
        aside += [file for file in files if file not in fields]
    check_truth(photos / "microscopy_ground_truth.csv", {row["image"].name: row["label"] for row in rows})
    return pd.DataFrame(rows), aside


def check_truth(file: Path, labels: dict[str, str]) -> None:
    """Compares the folders' labels with those of the challenge's own table, where it is there.

    Args:
        file: CSV without heads: name and label.
        labels: by name of the picture.

    Raises:
        ValueError: they differ.
    """
    if not file.is_file():
        return
    names, rows = read_table(file)  # without heads
    for name, label, *_ in [names, *(row for _, row in rows)]:
        if name in labels and labels[name] != label:
            raise ValueError(
                f"{str(file)!r} calls {name!r} {label}, but it lies in the folder {labels[name]}: correct one"
            )


def main(
    data: Annotated[Path, typer.Argument(help="The unpacked folder, or its folder Photos.")],
    out: Annotated[Path, typer.Argument(help="Folder to write.")] = Path("runs/bach"),
    patients: Annotated[Path | None, typer.Option(help="CSV or XLSX: the patient of each image.")] = None,
    image_column: Annotated[str | None, typer.Option(help="Its column of image names, if not found by itself.")] = None,
    patient_column: Annotated[str | None, typer.Option(help="Its column of patients, if not found by itself.")] = None,
    folds: Annotated[int, typer.Option(min=2, help="Of the cross-validation.")] = 4,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; default: one per CPU.")] = None,
) -> None:
    """Makes slides, a manifest and a configuration of the BACH photographs."""
    fields, aside = read_fields(data)
    if aside:
        warn(f"left aside, as they are no TIFF files: {', '.join(str(file) for file in aside)}")
    stems = [image.stem for image in fields["image"]]
    known: dict[str, str] = {}
    if patients is None:
        warn(
            "no patient table: EVERY FIELD COUNTS AS A PATIENT OF ITS OWN. Fields of one patient will stand on both sides of "
            "a split, and the measures will be too good. The organisers publish the table; give it by --patients"
        )
    else:
        known = read_patients(patients, set(stems), image_column, patient_column)
        if len(known) < len(stems):
            warn(
                f"{len(stems) - len(known)} of {len(stems)} fields are not in {str(patients)!r}: each counts as a patient"
            )
    fields["patient_id"] = [f"patient-{known[stem]}" if stem in known else stem for stem in stems]
    cohort = FieldCohort(fields[["image", "patient_id", "label"]], out, MPP, configuration(folds), _NOTES, _HEAD)
    make_cohort(cohort, workers, SIZE)
