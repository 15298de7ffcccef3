"""BACH, from the unpacked photographs to a table: joint sampling, each magnification by itself, and what colour alone tells.

    python -m experiments.bach ICIAR2018_BACH_Challenge runs/bach --patients patients.xlsx --seeds 3
    python -m experiments.bach --quick --out runs/bach-quick

The first argument is the unpacked folder: `Photos/Normal`, `Photos/Benign`, `Photos/InSitu` and `Photos/Invasive` with 100 TIFF
files of 2048 x 1536 pixels each. `--patients` names the organisers' table of patients (CSV or XLSX, a column of image names
and one of patients); without it every field counts as a patient, and the measures are too good. The test photographs of the
challenge have no labels: the split is a cross-validation over patients in four folds with all four classes on every side, and of
the patients that are not for testing, 15 % are for validation. Measures are means over the folds.

`data_prep.bach` makes the cohort, `experiments.cohort_runs` says what is measured; results go to
`experiments/results/bach`, and what has one is not run again. The patches are for a GPU.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tifffile
import typer

from experiments.cohort_runs.options import STAND_IN, Only, Out, Quick, Seeds, check_quick
from experiments.cohort_runs.runs import make_cohort, measure
from experiments.cohort_runs.stand_in import tissue
from experiments.common.result_files import RESULTS

OUT = RESULTS / "bach"


def stand_in(folder: Path) -> tuple[Path, Path]:
    """A data set of the same layout, kept if it is there: four fields of 384 x 512 pixels a class, and a table of patients."""
    patients = folder / "patients.csv"
    if patients.exists():
        return folder, patients
    lines = ["image,patient"]
    for c, (label, prefix) in enumerate({"Normal": "n", "Benign": "b", "InSitu": "is", "Invasive": "iv"}.items()):
        photos = folder / "Photos" / label
        photos.mkdir(parents=True, exist_ok=True)
        for i in range(1, 5):
            tifffile.imwrite(photos / f"{prefix}{i:03d}.tif", tissue(10 * c + i, 384, 512), photometric="rgb")
        lines += [f"{prefix}{i:03d}.tif,{c}" for i in (1, 2)]
    patients.write_text("\n".join(lines) + "\n")
    return folder, patients


def main(
    data: Annotated[Path | None, typer.Argument(help="The unpacked folder, or its folder Photos.")] = None,
    cohort: Annotated[Path, typer.Argument(help="Folder of slides, records and runs.")] = Path("runs/bach"),
    patients: Annotated[Path | None, typer.Option(help="CSV or XLSX: the patient of each image.")] = None,
    image_column: Annotated[str | None, typer.Option(help="Its column of image names, if not found by itself.")] = None,
    patient_column: Annotated[str | None, typer.Option(help="Its column of patients, if not found by itself.")] = None,
    folds: Annotated[int | None, typer.Option(min=2, help="Of the cross-validation. [default: 4]")] = None,
    seeds: Seeds = 3,
    only: Only = None,
    out: Out = OUT,
    quick: Quick = False,
) -> None:
    """Runs what has no result yet, and prints the table."""
    check_quick(quick, out, OUT, data, "DATA")
    if quick:
        data, patients = stand_in(out / STAND_IN / "data")
        cohort = out / STAND_IN / "cohort"
    table = ("--patients", patients, "--image-column", image_column, "--patient-column", patient_column)
    make_cohort("bach", data, cohort, *table, "--folds", folds, "--workers", 1 if quick else None)
    measure(cohort, out, seeds, only, quick)
