"""Warwick-QU / GlaS as a cohort: benign or malignant fields of colon glands.

    python -m data_prep.glas DATA runs/glas
    ats-mag validate runs/glas/config.yaml     # then prepare, train and evaluate

DATA is the folder of the challenge as it is downloaded (`Grade.csv`, `train_1.bmp`, `testA_1.bmp`, ... and, left aside,
`*_anno.bmp`), or one with `labels.csv` (columns `name` and `malignant`) and the pictures in `images/`.

The official training and test sets share patients: 16 sections gave 165 fields. With `--split official` every field
therefore counts as a patient of its own, and results speak of fields; with `--split patients`, which needs `Grade.csv`,
all fields are divided anew so that no patient is on both sides.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from ats_mag.cli.script import make_cohort, run_script, warn
from ats_mag.cohort.field_cohort import FieldCohort
from ats_mag.slides.writing.flat import SUFFIXES
from ats_mag.system.tables import read_frame

MPP = 0.62005  # um/px, stated by the challenge: Zeiss MIRAX MIDI, called 20x
PARTS = {"train": "train", "testA": "test", "testB": "test"}  # of the file names -> split

_HEAD = """\
GlaS: benign or malignant colon glands in fields of 480 x 320 um.
Made by data_prep.glas; relative paths are relative to this file's folder."""
_NOTES = {
    "splits.kind": "The challenge's own division; a part of its training fields is for validation.",
    "splits.validation": "Share of the training fields.",
    "prepare.overview_mpp": "A field is small: an overview of 194 x 131 pixels, in which cells of `stride` pixels are 40 um.",
    "prepare.tissue.method": "As the published numbers were measured; `whole` looks at all of a field.",
    "prepare.empty_mask": "A field is tissue all over: one without contrast between tissue and glass is looked at whole.",
    "model.magnifications": "Nuclei at full resolution, glands, and their surroundings: patches of 69, 139 and 278 um.",
    "model.patch_size": "Enlarged to 128 pixels for the default encoder, EfficientNet-Lite0.",
    "model.stride": "Overview pixels per cell: about 13 x 9 cells a field.",
    "model.n_patches": "Five of each magnification, a twentieth of all.",
    "model.method": "Of the least variance: 85 fields are few.",
    "train.augment.flips": "Without, a place is seen in one turn only, and encoded once.",
    "train.feature_cache_file": "Shared by all runs on these fields: what one has encoded the next need not.",
}


class Split(StrEnum):
    """How fields are divided."""

    official = "official"
    patients = "patients"


def configuration(split: Split) -> dict[str, Any]:
    """The default model at this cohort's scales, for two processors without a GPU."""
    division: dict[str, Any] = {"kind": "manifest", "validation": 0.2, "seed": 0}
    if split is Split.patients:
        division = {"kind": "kfold", "folds": 4, "validation": 0.2, "seed": 0}
    return {
        "splits": division,
        "prepare": {"overview_mpp": round(4 * MPP, 4), "tissue": {"method": "otsu"}, "empty_mask": "whole"},
        "model": {
            "magnifications": [MPP, round(2 * MPP, 4), round(4 * MPP, 4)],
            "patch_size": 112,
            "n_patches": 15,
            "stride": 16,
            "method": "priority",
        },
        "train": {
            "epochs": 12,
            "batch_size": 8,
            "augment": {"flips": False},
            "feature_cache_gb": 0.5,
            "feature_cache_file_gb": 1.0,
            "feature_cache_file": "features.cache",
            "seed": 0,
        },
    }


def read_fields(data: Path, tests: list[str]) -> tuple[pd.DataFrame, bool]:
    """The fields of the training set and of the given test sets, and whether their patients are known.

    Returns:
        A table with `image`, `patient_id`, `label`, `split` and, where stated, `grade`, the finer one.

    Raises:
        FileNotFoundError: no table in the folder, or an image that it names is missing.
        ValueError: a table that is not as described.
    """
    file = next((data / name for name in ("Grade.csv", "labels.csv") if (data / name).is_file()), None)
    if file is None:
        raise FileNotFoundError(
            f"{str(data)!r} holds neither 'Grade.csv' nor 'labels.csv': give the folder of the unpacked GlaS data"
        )
    table = read_frame(file)
    official = file.name == "Grade.csv"
    names = ["name", "patient ID", "grade (GlaS)"] if official else ["name", "malignant"]
    missing = [name for name in names if name not in table]
    if missing:
        raise ValueError(f"table {str(file)!r} lacks the column(s) {', '.join(missing)}; it has {', '.join(table)}")
    part = table["name"].str.partition("_")[0]
    unknown = table["name"][~part.isin(PARTS)]
    if len(unknown):
        raise ValueError(f"table {str(file)!r} names {unknown.iloc[0]!r}; expected train_*, testA_* or testB_*")
    labels = table["grade (GlaS)"] if official else table["malignant"].map({"0": "benign", "1": "malignant"})
    odd = ~labels.isin(["benign", "malignant"])
    if odd.any():
        raise ValueError(f"table {str(file)!r}: field {table['name'][odd].iloc[0]!r} is neither benign nor malignant")
    fields = pd.DataFrame({"name": table["name"]})
    fields["patient_id"] = "patient-" + table["patient ID"] if official else table["name"]
    fields["label"] = labels
    fields["split"] = part.map(PARTS)
    if "grade (Sirinukunwattana et al. 2015)" in table:
        fields["grade"] = table["grade (Sirinukunwattana et al. 2015)"]
    fields = fields[part.isin(["train", *tests])].reset_index(drop=True)
    fields.insert(0, "image", _find_images(data, fields.pop("name"), file))
    return fields, official


def _find_images(data: Path, names: pd.Series, table: Path) -> list[Path]:
    folders = [folder for folder in (data, data / "images") if folder.is_dir()]
    found = {file.stem: file for folder in folders for file in folder.iterdir() if file.suffix.lower() in SUFFIXES}
    missing = [name for name in names if name not in found]
    if missing:
        raise FileNotFoundError(
            f"{len(missing)} of {len(names)} fields of {str(table)!r} have no picture in {str(data)!r}, "
            f"{missing[0]!r} for one: unpack the data set again"
        )
    return [found[name] for name in names]


def main(
    data: Annotated[Path, typer.Argument(help="Folder of the unpacked data set.")],
    out: Annotated[Path, typer.Argument(help="Folder to write.")] = Path("runs/glas"),
    split: Annotated[
        Split, typer.Option(help="The challenge's division, or one by patients (needs Grade.csv).")
    ] = Split.official,
    test: Annotated[list[str] | None, typer.Option(help="Test sets to take: testA, testB; default: testA.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; default: one per CPU.")] = None,
) -> None:
    """Makes slides, a manifest and a configuration of the GlaS data set."""
    tests = test or ["testA"]
    if unknown := [name for name in tests if name not in ("testA", "testB")]:
        raise ValueError(f"--test must be testA or testB. Received: {unknown[0]!r}")
    fields, patients_known = read_fields(data, tests)
    if split is Split.patients:
        if not patients_known:
            raise ValueError(f"--split patients needs the patients of {str(data / 'Grade.csv')!r}, which is not there")
        fields = fields.drop(columns="split")
    elif patients_known:
        both = sorted(set.intersection(*(set(group) for _, group in fields.groupby("split")["patient_id"])))
        if both:
            warn(
                f"the official split has {len(both)} patients in training and test ({', '.join(both)}): each field counts "
                "as a patient of its own, and the measures do not say how the model does on new patients "
                "(--split patients does)"
            )
        fields["section"] = fields["patient_id"]
        fields["patient_id"] = [image.stem for image in fields["image"]]
    else:
        warn(f"{str(data)!r} does not say which field is of which patient: each counts as a patient of its own")
    notes = _NOTES if split is Split.official else {k: v for k, v in _NOTES.items() if not k.startswith("splits")}
    make_cohort(FieldCohort(fields, out, MPP, configuration(split), notes, _HEAD), workers)


if __name__ == "__main__":
    run_script(main)
