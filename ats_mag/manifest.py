"""The table of slides: which file, which patient, which label."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

from ats_mag.units import parse_mpp

REQUIRED = ("slide_id", "patient_id", "path", "label")
OPTIONAL = ("mpp", "split")


class ManifestError(ValueError):
    """A manifest that cannot be used; the message names the file, the row and the mend."""


def read_manifest(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Reads and checks a manifest CSV.

    Columns: `slide_id`, `patient_id`, `path` (relative to the slide root, or absolute), `label`; optional `mpp` (um/px
    or "20x"; empty: the file's own) and `split`. Other columns are kept.

    Args:
        path: the CSV file.

    Returns:
        A table in which ids, paths, labels and splits are text and `mpp` is float (NaN: the file's own).

    Raises:
        ManifestError: an unreadable file, a missing or unknown-looking column, an empty value, a duplicate slide id, an
            absurd mpp, or a patient in two splits.
    """
    path = Path(path)
    if not path.is_file():
        raise ManifestError(f"manifest {str(path)!r} does not exist")
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (ValueError, OSError) as error:
        raise ManifestError(f"manifest {str(path)!r} is not a readable CSV: {error}") from error
    table.columns = table.columns.str.strip()
    table = table.apply(lambda column: column.str.strip())
    missing = [name for name in REQUIRED if name not in table]
    if missing:
        raise ManifestError(
            f"manifest {str(path)!r} lacks the column(s) {', '.join(missing)}; it has {', '.join(table.columns)}. "
            f"Needed: {', '.join(REQUIRED)}; optional: {', '.join(OPTIONAL)}"
        )
    if table.empty:
        raise ManifestError(f"manifest {str(path)!r} names no slide")
    for name in REQUIRED:
        empty = table.index[table[name] == ""]
        if len(empty):
            raise ManifestError(f"manifest {str(path)!r}, line {empty[0] + 2}: the column {name!r} is empty")
    _check_ids(path, table["slide_id"])
    table["mpp"] = _resolutions(path, table)
    table["split"] = table.get("split", "")
    _check_splits(path, table)
    return table


def _check_ids(path: Path, ids: pd.Series) -> None:
    double = ids[ids.duplicated(keep=False)]
    if len(double):
        lines = ", ".join(str(i + 2) for i in double.index[double == double.iloc[0]])
        raise ManifestError(
            f"manifest {str(path)!r}: slide_id {double.iloc[0]!r} stands in lines {lines}; give each slide one id of its own"
        )
    unsafe = ids[ids.str.contains("/", regex=False) | ids.str.startswith(".")]
    if len(unsafe):
        raise ManifestError(
            f"manifest {str(path)!r}, line {unsafe.index[0] + 2}: slide_id {unsafe.iloc[0]!r} names a file of the records; "
            "it must not contain '/' nor begin with '.'"
        )


def _resolutions(path: Path, table: pd.DataFrame) -> list[float]:
    found = []
    for i, text in enumerate(table["mpp"] if "mpp" in table else [""] * len(table)):
        try:
            found.append(parse_mpp(text) if text else float("nan"))
        except ValueError as error:
            raise ManifestError(
                f"manifest {str(path)!r}, line {i + 2}: slide {table['slide_id'][i]!r} has a bad mpp: {error}; "
                "leave it empty to take the file's own"
            ) from error
    return found


def _check_splits(path: Path, table: pd.DataFrame) -> None:
    splits = table.groupby("patient_id")["split"].unique()
    for patient, names in splits.items():
        if len(names) > 1:
            raise ManifestError(
                f"manifest {str(path)!r}: patient {patient!r} stands in several splits ({', '.join(map(repr, names))}); "
                "slides of one patient belong into one split"
            )
