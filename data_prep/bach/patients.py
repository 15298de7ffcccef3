"""The organisers' table of patients, in the forms that it may have."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pandas as pd


def read_patients(
    file: Path, stems: set[str], image_column: str | None = None, patient_column: str | None = None
) -> dict[str, str]:
    """The patients that a table names, by the stem of the field.

    The column of the images is the one whose values are names of fields; that of the patients the other one, or the one with
    "patient" in its head. Heads may be absent. Rows without a patient are left out.

    Args:
        file: CSV, TSV or XLSX; of a workbook, all sheets.
        stems: names of the fields, without suffix.
        image_column, patient_column: heads of the columns, where they are not found by themselves.

    Raises:
        FileNotFoundError, ValueError: no such file, no such column, or a field with two patients.
    """
    if not file.is_file():
        raise FileNotFoundError(f"patient table {str(file)!r} does not exist")
    options: dict[str, Any] = {"header": None, "dtype": str, "keep_default_na": False}
    try:
        if file.suffix.lower() in (".xlsx", ".xls"):
            sheets = list(pd.read_excel(file, sheet_name=None, **options).values())
        else:
            sheets = [pd.read_csv(file, sep=None, engine="python", **options)]
    except (ValueError, OSError, ImportError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"patient table {str(file)!r} is no readable CSV or XLSX: {error}") from error
    found: dict[str, str] = {}
    for sheet in sheets:
        table = sheet.fillna("").apply(lambda column: column.str.strip())
        images = table.map(lambda text: Path(text.replace("\\", "/")).stem if Path(text).suffix else text)
        columns = _columns(table, images.isin(stems).sum(), image_column, patient_column)
        if columns is None:
            continue
        for stem, patient in zip(images[columns[0]], table[columns[1]], strict=True):
            if stem not in stems or patient in ("", "?", "-", "NaN", "nan"):
                continue
            if found.setdefault(stem, patient) != patient:
                raise ValueError(
                    f"patient table {str(file)!r} gives {stem!r} two patients, {found[stem]!r} and {patient!r}"
                )
    if not found:
        raise ValueError(
            f"patient table {str(file)!r} names the patient of no field: it needs a column of image names "
            f"({', '.join(sorted(stems)[:2])}, ...) and one of patients; name them by --image-column and --patient-column"
        )
    return found


def _columns(table: pd.DataFrame, matches: pd.Series, image: str | None, patient: str | None) -> tuple[int, int] | None:
    """The numbers of the columns of images and of patients in a table without heads."""
    if table.empty:
        return None
    heads = [text.lower() for text in table.iloc[0]]
    images = [i for i, head in enumerate(heads) if image is not None and head == image.lower()]
    if image is None and matches.max() > 0:
        images = [int(matches.to_numpy().argmax())]
    if not images:
        return None
    wanted = patient.lower() if patient is not None else None
    others = [i for i in range(len(heads)) if i != images[0]]
    patients = [i for i in others if (heads[i] == wanted if wanted is not None else "patient" in heads[i])]
    if not patients and wanted is None and len(others) == 1:
        patients = others
    return (images[0], patients[0]) if patients else None
