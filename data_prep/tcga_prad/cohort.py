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

import os
import re
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from ats_mag.cli.console import say, show_error
from ats_mag.cli.script import report_tables, warn
from ats_mag.cohort.field_cohort import write_cohort_tables
from ats_mag.config.writing import config_text
from data_prep.tcga_prad.downloads import KINDS, Choice, choose, find_problem, read_gdc_manifest
from data_prep.tcga_prad.grades import read_grades

_HEAD = """\
TCGA-PRAD: Gleason grade groups from diagnostic slides.
Made by data_prep.tcga_prad; relative paths are relative to this file's folder."""
_NOTES = {
    "data.slides": "Where gdc-client put the slides.",
    "data.labels": "ISUP grade group -> class; the groups that are not named are left out.",
    "splits.by_site": "True keeps all patients of a hospital on one side: the measure for new hospitals.",
    "prepare.on_bad_slide": "A few of the slides state no resolution; `validate` names them. See also data.default_mpp.",
    "model.magnifications": "Glands and their architecture; nuclei at 40x add little to the Gleason pattern.",
}


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
    if kind not in KINDS:
        raise ValueError(f"--kind must be one of {', '.join(KINDS)}. Received: {kind!r}")
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
    say(f"{len(result)} slides of {result['patient_id'].nunique()} patients: {_listed(counted)}")
    if +reasons:
        say(f"not taken: {_listed(+reasons)}")
    report_tables(out, written)


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())
