"""GlaS, from the unpacked pictures to a table: joint sampling, each magnification by itself, and what colour alone tells.

    python -m experiments.glas "Warwick QU Dataset" runs/glas --seeds 3
    python -m experiments.glas --quick --out runs/glas-quick

The first argument is the folder of the challenge as it is downloaded: `Grade.csv` (columns `name`, `patient ID`, `grade
(GlaS)`) beside `train_1.bmp` to `train_85.bmp` and `testA_1.bmp` to `testA_60.bmp`; or a folder with `labels.csv` (`name`,
`malignant`) and `images/`. The split is the challenge's own, of whose training fields a fifth are for validation; fields of a
patient stand on both sides of it, so that measures are of new fields. `--split patients` divides anew in four folds.

`data_prep.glas` makes the cohort, `experiments.cohort_runs` says what is measured; results go to
`experiments/results/glas`, and what has one is not run again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from PIL import Image

from experiments.cohort_runs.options import STAND_IN, Only, Out, Quick, Seeds, check_quick
from experiments.cohort_runs.runs import make_cohort, measure
from experiments.cohort_runs.stand_in import tissue
from experiments.common.result_files import RESULTS

OUT = RESULTS / "glas"


def stand_in(folder: Path) -> Path:
    """A data set of the same layout, kept if it is there: 8 training and 6 test fields of 192 x 256 pixels."""
    if (folder / "Grade.csv").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["name,patient ID, grade (GlaS)"]
    names = [f"train_{i}" for i in range(1, 9)] + [f"testA_{i}" for i in range(1, 7)]
    for i, name in enumerate(names):
        Image.fromarray(tissue(i, 192, 256)).save(folder / f"{name}.bmp")
        lines.append(f"{name},{i // 2}, {('benign', 'malignant')[i % 2]}")
    (folder / "Grade.csv").write_text("\n".join(lines) + "\n")
    return folder


def main(
    data: Annotated[Path | None, typer.Argument(help="Folder of the unpacked data set.")] = None,
    cohort: Annotated[Path, typer.Argument(help="Folder of slides, records and runs.")] = Path("runs/glas"),
    split: Annotated[str | None, typer.Option(help="official or patients, see data_prep.glas.")] = None,
    seeds: Seeds = 3,
    only: Only = None,
    out: Out = OUT,
    quick: Quick = False,
) -> None:
    """Runs what has no result yet, and prints the table."""
    check_quick(quick, out, OUT, data, "DATA")
    if quick:
        data, cohort = stand_in(out / STAND_IN / "data"), out / STAND_IN / "cohort"
    make_cohort("glas", data, cohort, "--split", split, "--workers", 1 if quick else None)
    measure(cohort, out, seeds, only, quick)
