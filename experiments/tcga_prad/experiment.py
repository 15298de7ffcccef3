"""TCGA-PRAD, from the downloaded slides to a table: joint sampling, each magnification by itself, and colour alone.

    python -m experiments.tcga_prad gdc_manifest.txt clinical.tsv --slides slides --cohort runs/tcga-prad --seeds 3
    python -m experiments.tcga_prad --quick --out runs/tcga-prad-quick

The arguments are those of `data_prep.tcga_prad`, whose `--out` is `--cohort` here: the manifest of gdc-client (columns id,
filename, md5, size, state), one or several clinical tables (`clinical.tsv` of the GDC portal, or cBioPortal's), and the folder
that gdc-client downloaded into (`slides/UUID/TCGA-XX-XXXX-01Z-00-DX1.*.svs`, or all in one folder). A slide's class is made of its
patient's ISUP grade group: low (1 and 2) or high (3 to 5), or what `--classes` says. The split is a cross-validation over
patients in five folds, of whose other patients 15 % are for validation; `--by-site` keeps each hospital on one side. Measures
are means over the folds, of slides and, in the result files, of patients, too.

`data_prep.tcga_prad` makes the cohort, `experiments/cohort_runs` says what is measured; results go to
`experiments/results/tcga-prad`, and what has one is not run again. The patches are for a GPU.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ats_mag.slides.writing.pyramid import write_pyramid
from experiments.cohort_runs.options import STAND_IN, Only, Out, Quick, Seeds, check_quick
from experiments.cohort_runs.runs import make_cohort, measure
from experiments.cohort_runs.stand_in import tissue
from experiments.common.result_files import RESULTS

OUT = RESULTS / "tcga-prad"
GLEASON = ((3, 3), (4, 3), (3, 4), (4, 5))  # primary and secondary pattern of the stand-in's patients, in turn


def stand_in(folder: Path) -> tuple[Path, list[Path], Path]:
    """A download of the same layout, kept if it is there: eight patients of two hospitals, two slides of 512 um each."""
    manifest, clinical = folder / "gdc_manifest.txt", folder / "clinical.tsv"
    if clinical.exists():
        return manifest, [clinical], folder / "slides"
    rows, grades = (
        ["id\tfilename\tmd5\tsize\tstate"],
        ["case_submitter_id\tprimary_gleason_grade\tsecondary_gleason_grade"],
    )
    for i in range(8):
        patient = f"TCGA-{('2A', 'CH')[i % 2]}-{1000 + i}"
        grades.append("{}\tPattern {}\tPattern {}".format(patient, *GLEASON[i % len(GLEASON)]))
        for number in (1, 2):
            name, place = f"{patient}-01Z-00-DX{number}.MADE.svs", folder / "slides" / f"uuid-{i}-{number}"
            place.mkdir(parents=True, exist_ok=True)
            write_pyramid(place / name, tissue(2 * i + number, 1024, 1024, glass=128), 0.5)
            rows.append(f"{place.name}\t{name}\tunknown\t{(place / name).stat().st_size}\treleased")
    manifest.write_text("\n".join(rows) + "\n")
    clinical.write_text("\n".join(grades) + "\n")
    return manifest, [clinical], folder / "slides"


def main(
    gdc_manifest: Annotated[Path | None, typer.Argument(help="The manifest that gdc-client downloaded by.")] = None,
    clinical: Annotated[
        list[Path] | None, typer.Argument(help="Clinical tables: clinical.tsv, or cBioPortal's.")
    ] = None,
    slides: Annotated[Path | None, typer.Option(help="Folder that gdc-client downloaded into.")] = None,
    cohort: Annotated[Path, typer.Option(help="Folder of records and runs.")] = Path("runs/tcga-prad"),
    choice: Annotated[str | None, typer.Option(help="Slides of a patient: all or first. [default: all]")] = None,
    classes: Annotated[str | None, typer.Option(help="[default: low=1-2,high=3-5]")] = None,
    by_site: Annotated[bool, typer.Option("--by-site", help="Keep all patients of a hospital on one side.")] = False,
    missing: Annotated[
        str | None, typer.Option(help="Slides that are not whole: raise or skip. [default: raise]")
    ] = None,
    seeds: Seeds = 3,
    only: Only = None,
    out: Out = OUT,
    quick: Quick = False,
) -> None:
    """Runs what has no result yet, and prints the table."""
    check_quick(quick, out, OUT, gdc_manifest, "GDC_MANIFEST")
    if quick:
        gdc_manifest, clinical, slides = stand_in(out / STAND_IN / "data")
        cohort = out / STAND_IN / "cohort"
    if not clinical or slides is None:
        raise ValueError("CLINICAL and --slides are missing: name the clinical table, and gdc-client's download folder")
    options = ("--choice", choice, "--classes", classes, "--missing", missing)
    flags = ["--by-site"] if by_site else []
    make_cohort("tcga_prad", gdc_manifest, *clinical, "--slides", slides, "--out", cohort, *options, *flags)
    measure(cohort, out, seeds, only, quick)
