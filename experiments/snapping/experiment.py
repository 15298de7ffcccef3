"""Whether snapping patches to the slides' tile grid costs accuracy: the model of `experiments/crc_tiles` with and without it.

python -m data_prep.synthetic_slides ... --file-tile 256 --out SLIDES   (its --help says what it needs)
python -m experiments.snapping SLIDES

Tiles of 256 pixels lie across the lattice of these slides, so that nearly every patch moves. Each run keeps its own result
under RUNS; what is there is not run again. Writes `experiments/results/snapping.json`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from experiments.common.processes import run_module
from experiments.common.result_files import RESULTS, write_plain


def main(
    slides: Annotated[Path, typer.Argument(help="Folder made by data_prep.synthetic_slides --file-tile 256.")],
    runs: Annotated[Path | None, typer.Option(help="Folder of the runs. [default: SLIDES/snapping]")] = None,
    seeds: Annotated[int, typer.Option(help="Runs of each kind.")] = 3,
    out: Annotated[Path, typer.Option(help="Where the measures go.")] = RESULTS / "snapping.json",
) -> None:
    """Trains with and without snapping, and writes the test AUC of each run."""
    runs = runs or slides / "snapping"
    found: dict[str, list[dict[str, object]]] = {"snap": [], "no-snap": []}
    for kind, results in found.items():
        run_module(
            "experiments.crc_tiles",
            slides,
            "--out",
            runs / kind,
            "--models",
            runs / kind,
            f"--{kind}",
            "--seeds",
            seeds,
            "--only",
            "joint",
        )
        for seed in range(seeds):
            result = json.loads((runs / kind / f"joint-seed{seed}.json").read_text())
            results.append({"seed": seed, "auc": result["auc"], "auc_95": result["auc_95"]})
    cohort = json.loads((slides / "cohort.json").read_text())
    report = {"experiment": "snapping", "slides": cohort, "cpus": os.cpu_count(), "test_auc": found}
    write_plain(out, report)
    for kind, results in found.items():
        print(kind, *(f"{result['auc']:.3f}" for result in results))
