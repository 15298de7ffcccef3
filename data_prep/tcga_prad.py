"""TCGA-PRAD as a cohort: diagnostic slides of prostate adenocarcinoma with their Gleason grade groups.

    gdc-client download -m gdc_manifest.txt -d slides
    python -m data_prep.tcga_prad gdc_manifest.txt clinical.tsv --slides slides --out runs/tcga-prad
    ats-mag validate runs/tcga-prad/config.yaml     # then prepare, train and evaluate

The manifest is the one that the GDC portal gives for its client (columns id, filename, md5, size, state). The clinical
table is the portal's `clinical.tsv`, the `nationwidechildrens.org_clinical_patient_prad.txt` of the same project, or the
clinical data of cBioPortal; of several, the first that states a patient's grade counts. Slides stay where they are.

The manifest that comes out has the ISUP grade group, 1 to 5, as its label; which groups make which class is said in the
configuration (`data.labels`) and may be changed there at any time.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from ats_mag.cli.console import console, show_error
from ats_mag.cli.script import report_tables, run_script, warn
from ats_mag.cohort.field_cohort import write_cohort_tables
from ats_mag.config.writing import config_text
from ats_mag.system.tables import read_frame

# Project, tissue source site, participant; sample type and vial; portion; slide kind and its number or letter.
_SLIDE = re.compile(r"(TCGA-(\w{2})-\w{4})-(\d{2})([A-Z])-(\d{2})-(DX|TS|BS|MS)(\w*)\..*", re.IGNORECASE)
_PATIENT = re.compile(r"TCGA-\w{2}-\w{4}")
_TUMOUR = range(1, 10)  # sample types of tumour tissue; 10 to 19 are normal
_KINDS = {"DX": "diagnostic", "TS": "frozen, top", "BS": "frozen, bottom", "MS": "frozen, middle"}

_HEADS = {
    "patient": ("case_submitter_id", "submitter_id", "bcr_patient_barcode", "patient_id"),
    "primary": ("primary_gleason_grade", "gleason_pattern_primary"),
    "secondary": ("secondary_gleason_grade", "gleason_pattern_secondary"),
    "group": ("gleason_grade_group",),
    "score": ("gleason_score",),
}  # heads in small letters, what stands before a point removed
_HEAD = """\
TCGA-PRAD: Gleason grade groups from diagnostic slides.
Made by data_prep/tcga_prad.py; relative paths are relative to this file's folder."""
_NOTES = {
    "data.slides": "Where gdc-client put the slides.",
    "data.labels": "ISUP grade group -> class; the groups that are not named are left out.",
    "splits.by_site": "True keeps all patients of a hospital on one side: the measure for new hospitals.",
    "prepare.on_bad_slide": "A few of the slides state no resolution; `validate` names them. See also data.default_mpp.",
    "model.magnifications": "Glands and their architecture; nuclei at 40x add little to the Gleason pattern.",
}


class Choice(StrEnum):
    """Which slides of a patient."""

    all = "all"
    first = "first"


class Missing(StrEnum):
    """What a slide that is not there, or not whole, means."""

    error = "raise"
    skip = "skip"


def configuration(slides: Path, out: Path, classes: dict[str, str], by_site: bool) -> dict[str, Any]:
    """Five folds over patients, for a machine with a GPU."""
    return {
        "run": "run",
        "data": {
            "slides": os.path.relpath(slides.resolve(), out.resolve()),
            "manifest": "manifest.csv",
            "labels": classes,
        },
        "splits": {"kind": "kfold", "folds": 5, "validation": 0.15, "by_site": by_site, "seed": 0},
        "prepare": {"overview_mpp": 8.0, "on_bad_slide": "skip"},
        "model": {"magnifications": ["20x", "5x"], "patch_size": 224, "n_patches": 24},
        "train": {
            "epochs": 60,
            "batch_size": 8,
            "class_weights": "balanced",
            "augment": {"flips": True, "stain": 0.1, "brightness": 0.05, "contrast": 0.1},
            "on_bad_slide": "skip",
            "seed": 0,
        },
    }


def parse_classes(text: str) -> dict[str, str]:
    """Grade groups to classes from, e.g., "low=1-2,high=3-5".

    Raises:
        ValueError: another form, a group outside 1..5, or one in two classes.
    """
    groups: dict[str, str] = {}
    for part in text.split(","):
        match = re.fullmatch(r"\s*([^=\s][^=]*?)\s*=\s*([1-5])(?:\s*-\s*([1-5]))?\s*", part)
        if match is None:
            raise ValueError(
                f"--classes must look like low=1-2,high=3-5, with groups 1 to 5. Received: {part.strip()!r}"
            )
        first = int(match[2])
        for group in range(first, int(match[3] or first) + 1):
            if str(group) in groups:
                raise ValueError(f"--classes puts grade group {group} into two classes. Received: {text!r}")
            groups[str(group)] = match[1]
    if len(set(groups.values())) < 2:
        raise ValueError(f"--classes must name at least two classes. Received: {text!r}")
    return groups


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


def read_gdc_manifest(file: Path) -> pd.DataFrame:
    """The slides of a manifest of gdc-client: id, filename, md5, size, and what the file name says.

    Returns:
        Beside the manifest's columns `patient_id`, `site`, `sample` (number of the sample type), `kind` (DX, TS, ...) and
        `number`; these are empty where the name is none of a TCGA slide.

    Raises:
        FileNotFoundError, ValueError: no such file, not of this form, or a file named twice.
    """
    if not file.is_file():
        raise FileNotFoundError(f"GDC manifest {str(file)!r} does not exist")
    table = read_frame(file)
    missing = [name for name in ("id", "filename", "md5", "size") if name not in table]
    if missing:
        raise ValueError(
            f"GDC manifest {str(file)!r} lacks the column(s) {', '.join(missing)}; it has {', '.join(table)}. "
            "Take the one that the portal offers for gdc-client"
        )
    if not table["size"].str.fullmatch(r"\d+").all():
        raise ValueError(f"GDC manifest {str(file)!r} has a size that is no number of bytes: download it again")
    double = table["filename"][table["filename"].duplicated()]
    if len(double):
        raise ValueError(f"GDC manifest {str(file)!r} names {double.iloc[0]!r} twice: remove one line")
    parts = table["filename"].str.extract(_SLIDE.pattern, flags=re.IGNORECASE).fillna("")
    parts.columns = pd.Index(["patient_id", "site", "sample", "vial", "portion", "kind", "number"])
    parts = parts.apply(lambda column: column.str.upper())
    return pd.concat([table, parts[["patient_id", "site", "sample", "kind", "number"]]], axis=1)


def find_problem(slides: Path, row: Any, check_md5: bool) -> tuple[str, str | None]:
    """Where a slide is, relative to the folder of all, and what is wrong with it, if anything is."""
    places = [Path(row.id) / row.filename, Path(row.filename)]
    path = next((place for place in places if (slides / place).is_file()), None)
    if path is None:
        half = (slides / places[0]).with_name(row.filename + ".partial").exists()
        return str(places[0]), "its download is incomplete" if half else "is missing"
    size = (slides / path).stat().st_size
    if size != int(row.size):
        return str(path), f"has {size} bytes instead of {row.size}"
    if check_md5:
        with open(slides / path, "rb") as file:
            found = hashlib.file_digest(file, "md5").hexdigest()
        if found != row.md5:
            return str(path), f"has the MD5 {found} instead of {row.md5}"
    return str(path), None


def choose(table: pd.DataFrame, kind: str, choice: Choice) -> tuple[pd.DataFrame, Counter[str]]:
    """The slides of one kind and of tumour tissue, all or the first of each patient; and why the others are not taken."""
    reasons: Counter[str] = Counter()

    def keep(rows: pd.DataFrame, wanted: pd.Series, reason: str) -> pd.DataFrame:
        if not wanted.all():
            reasons[reason] += int((~wanted).sum())
        return rows[wanted]

    table = keep(table, table["patient_id"] != "", "not named as TCGA slides are")
    for other, name in _KINDS.items():
        if other != kind:
            table = keep(table, table["kind"] != other, f"{name} sections ({other})")
    table = keep(table, table["sample"].astype(int).isin(_TUMOUR), "of normal tissue")
    order = table["number"].str.zfill(4)
    table = table.assign(order=order).sort_values(["patient_id", "order", "filename"]).drop(columns="order")
    if choice is Choice.first:
        table = keep(table, ~table["patient_id"].duplicated(), "further slides of their patients")
    return table, reasons


def main(
    gdc_manifest: Annotated[Path, typer.Argument(help="The manifest that gdc-client downloaded by.")],
    clinical: Annotated[list[Path], typer.Argument(help="Clinical tables: GDC's clinical.tsv, or cBioPortal's.")],
    slides: Annotated[Path, typer.Option(help="Folder that gdc-client downloaded into.")],
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("runs/tcga-prad"),
    kind: Annotated[str, typer.Option(help="DX: diagnostic; TS, MS, BS: frozen (top, middle, bottom).")] = "DX",
    choice: Annotated[Choice, typer.Option(help="All slides of a patient, or the first.")] = Choice.all,
    classes: Annotated[
        str, typer.Option(help='Grade groups to classes, e.g. "6=1,7=2-3,8 and more=4-5".')
    ] = "low=1-2,high=3-5",
    by_site: Annotated[bool, typer.Option("--by-site", help="Keep all patients of a hospital on one side.")] = False,
    missing: Annotated[
        Missing, typer.Option(help="Slides that are missing or not whole: end with an error, or leave them out.")
    ] = Missing.error,
    md5: Annotated[bool, typer.Option("--md5", help="Compare the MD5 sums, too: reads every slide.")] = False,
) -> None:
    """Makes a manifest and a configuration of TCGA-PRAD."""
    if kind not in _KINDS:
        raise ValueError(f"--kind must be one of {', '.join(_KINDS)}. Received: {kind!r}")
    if not slides.is_dir():
        raise FileNotFoundError(f"folder of slides {str(slides)!r} does not exist: give gdc-client's download folder")
    groups = parse_classes(classes)
    table, reasons = choose(read_gdc_manifest(gdc_manifest), kind, choice)
    grades: dict[str, tuple[int, str]] = {}
    for file in clinical:
        found, odd = read_grades(file)
        grades = {**found, **grades}
        for text in odd:
            warn(f"{str(file)!r}: {text}")
    known = table["patient_id"].isin(list(grades))
    if not known.all():
        reasons["of patients without a Gleason grade"] += int((~known).sum())
        patients = sorted(set(table["patient_id"][~known]))
        warn(f"no Gleason grade is known of {len(patients)} patients: {', '.join(patients)}")
    table = table[known]
    places = [find_problem(slides, row, md5) for row in table.itertuples()]
    broken = [(path, problem) for path, problem in places if problem is not None]
    for path, problem in broken:
        show_error(f"{str(slides / path)!r} {problem}", "slide")
    if broken and missing is Missing.error:
        raise ValueError(
            f"{len(broken)} of {len(table)} slides are missing or not whole; no manifest was written: run gdc-client again "
            "with the same manifest, or leave them out by --missing skip"
        )
    table = table.assign(path=[path for path, _ in places])[[problem is None for _, problem in places]]
    reasons["missing or not whole"] += len(broken)
    if table.empty:
        raise ValueError(f"no slide is left of {str(gdc_manifest)!r}: {_listed(reasons)}")
    result = pd.DataFrame(
        {
            "slide_id": [Path(name).stem for name in table["filename"]],
            "patient_id": table["patient_id"].to_list(),
            "path": table["path"].to_list(),
            "label": [str(grades[patient][0]) for patient in table["patient_id"]],
            "site": table["site"].to_list(),
            "gleason": [grades[patient][1] for patient in table["patient_id"]],
            "kind": table["kind"].to_list(),
        }
    )
    config = config_text(configuration(slides, out, groups, by_site), _NOTES, _HEAD)
    written = write_cohort_tables(out, result, config)
    counted = Counter(groups.get(label, "no class") for label in result["label"])
    console.print(
        f"{len(result)} slides of {result['patient_id'].nunique()} patients: {_listed(counted)}", highlight=False
    )
    if +reasons:
        console.print(f"not taken: {_listed(+reasons)}", highlight=False)
    report_tables(out, written)


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


if __name__ == "__main__":
    run_script(main)
