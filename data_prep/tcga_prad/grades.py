"""Gleason grade groups from the clinical tables of the GDC portal and of cBioPortal."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

_PATIENT = re.compile(r"TCGA-\w{2}-\w{4}")
_HEADS = {
    "patient": ("case_submitter_id", "submitter_id", "bcr_patient_barcode", "patient_id"),
    "primary": ("primary_gleason_grade", "gleason_pattern_primary"),
    "secondary": ("secondary_gleason_grade", "gleason_pattern_secondary"),
    "group": ("gleason_grade_group",),
    "score": ("gleason_score",),
}  # heads in small letters, what stands before a point removed


def grade_group(primary: int, secondary: int) -> int:
    """ISUP grade group of two Gleason patterns, 1 to 5 each (Epstein et al., Am J Surg Pathol 40(2), 2016)."""
    score = primary + secondary
    if score <= 6:
        return 1
    if score == 7:
        return 2 if primary < secondary else 3
    return 4 if score == 8 else 5


def read_grades(file: Path) -> tuple[dict[str, tuple[int, str]], list[str]]:
    """Each patient's grade group and how it is stated ("4+3", "group 3", "score 8").

    Returns:
        By patient barcode; and what is odd in the table, for people.

    Raises:
        FileNotFoundError, ValueError: no such file, or a table without patients or grades.
    """
    table = _read_clinical(file)
    heads = {head: column for column in reversed(table.columns) for head in [_plain(column)]}
    columns = {name: next((heads[h] for h in known if h in heads), None) for name, known in _HEADS.items()}
    if columns["patient"] is None or not (
        (columns["primary"] and columns["secondary"]) or columns["group"] or columns["score"]
    ):
        raise ValueError(
            f"clinical table {str(file)!r} lacks a column of patients or of Gleason grades; it has "
            f"{', '.join(map(str, table.columns[:20]))}, ... Known: {', '.join(h for known in _HEADS.values() for h in known)}"
        )
    if "diagnosis_is_primary_disease" in heads:  # the portal lists later diagnoses, too
        primary = table[heads["diagnosis_is_primary_disease"]].str.lower()
        table = table[primary != "false"]
    stated: dict[str, dict[int, str]] = {}
    odd: list[str] = []
    for _, row in table.iterrows():
        patient = row[columns["patient"]].strip().upper()
        if _PATIENT.fullmatch(patient) and (found := _grade(row, columns)):
            stated.setdefault(patient, {}).setdefault(*found)
    grades: dict[str, tuple[int, str]] = {}
    for patient, found_grades in stated.items():
        if len(found_grades) == 1:
            grades[patient] = next(iter(found_grades.items()))
        else:
            odd.append(f"{patient} has several grades ({', '.join(sorted(found_grades.values()))}) and is left out")
    return grades, odd


def _read_clinical(file: Path) -> pd.DataFrame:
    if not file.is_file():
        raise FileNotFoundError(f"clinical table {str(file)!r} does not exist")
    with file.open(encoding="utf-8", errors="replace") as lines:
        comments = next((i for i, line in enumerate(lines) if not line.startswith("#")), 0)
    try:
        separator = "," if file.suffix.lower() == ".csv" else "\t"
        return pd.read_csv(file, sep=separator, skiprows=comments, dtype=str, keep_default_na=False, quotechar='"')
    except (ValueError, OSError) as error:
        raise ValueError(f"clinical table {str(file)!r} is no readable TSV (or .csv): {error}") from error


def _plain(head: str) -> str:
    """ "diagnoses.primary_gleason_grade" and "Gleason Pattern Primary" as the names above."""
    return re.sub(r"\W+", "_", str(head).strip().rpartition(".")[2].lower())


def _grade(row: pd.Series, columns: dict[str, str | None]) -> tuple[int, str] | None:
    """The grade group that a row states, best source first: a score of 7 alone is 3+4 or 4+3, and so none."""

    def number(name: str) -> int | None:
        text = str(row[columns[name]]).strip() if columns[name] is not None else ""
        match = re.fullmatch(r"(?:(?:Pattern|Group|Grade|Score)\s*)*(\d+)(?:\.0)?", text, re.IGNORECASE)
        return int(match[1]) if match else None

    primary, secondary, group, score = (number(name) for name in ("primary", "secondary", "group", "score"))
    if primary in range(1, 6) and secondary in range(1, 6) and primary and secondary:
        return grade_group(primary, secondary), f"{primary}+{secondary}"
    if group in range(1, 6) and group:
        return group, f"group {group}"
    if score in (2, 3, 4, 5, 6, 8, 9, 10) and score:
        return grade_group(score // 2, score - score // 2), f"score {score}"
    return None
