"""Whether a cohort of several scanners survives its mishaps, and whether predictions depend on the scanner.

    python -m data_prep.mixed_scanners runs/scanners
    python -m experiments.scanners runs/scanners

runs `ats-mag validate`, `prepare`, `train` and `evaluate` on the made cohort as a user would, and writes
`experiments/results/scanners.json`: which mishaps `validate` named, and how far the predictions for the same tissue, scanned at
0.25 and at 0.5 um/px, differ. What the run's folder holds already is not made again.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer
from sklearn.metrics import roc_auc_score

from experiments.common.processes import run_module
from experiments.common.result_files import RESULTS, write_plain

POSITIVE = "tumour"


def named(folder: Path) -> dict[str, Any]:
    """Which mishaps `validate` named, and which sound slides it found fault with."""
    report = folder / "run" / "validation.json"
    run_module("ats_mag.cli", "validate", folder / "config.yaml", "--report", report)
    text = report.read_text().replace(f"{folder}{os.sep}", "")
    problems = {s["slide_id"]: s["problems"] for s in json.loads(text)["slides"] if s["problems"]}
    mishaps = pd.read_csv(folder / "mishaps.csv").set_index("slide_id")["mishap"]
    return {
        "mishaps": {slide: {"mishap": kind, "named": problems.get(slide)} for slide, kind in mishaps.items()},
        "others": sorted(set(problems) - set(mishaps.index)),
    }


def agreement(slides: pd.DataFrame) -> dict[str, Any]:
    """Of the test slides: the difference between two scans of one tissue, and the AUC of each scanner."""
    slides = slides.assign(scanner=slides["slide_id"].str[-1], truth=slides["label"] == POSITIVE)
    by_tissue = slides.pivot_table(index="patient_id", columns="scanner", values=f"p_{POSITIVE}")
    difference = (by_tissue["b"] - by_tissue["d"]).abs()
    auc = {mpp: roc_auc_score(s["truth"], s[f"p_{POSITIVE}"]) for mpp, s in slides.groupby("scanner")}
    return {
        "tissues": len(by_tissue),
        "median_difference": float(difference.median()),
        "largest_difference": float(difference.max()),
        "auc_at_0.25": float(auc["b"]),
        "auc_at_0.5": float(auc["d"]),
    }


def main(
    folder: Annotated[Path, typer.Argument(help="Folder made by data_prep.mixed_scanners.")] = Path("runs/scanners"),
    out: Annotated[Path, typer.Option(help="Where the measures go.")] = RESULTS / "scanners.json",
) -> None:
    """Runs the cohort through, and writes what became of it."""
    found = named(folder)
    for verb in ("prepare", "train", "evaluate"):
        run_module("ats_mag.cli", verb, folder / "config.yaml")
    slides = pd.read_csv(folder / "run" / "fold-0" / "slides.csv")
    report = {"experiment": "scanners", "cpus": os.cpu_count(), "validate": found, "predictions": agreement(slides)}
    write_plain(out, report)
    missed = [slide for slide, m in found["mishaps"].items() if not m["named"]]
    print(
        f"{len(found['mishaps'])} mishaps, missed by validate: {missed or 'none'}; others: {found['others'] or 'none'}"
    )
    print(json.dumps(report["predictions"], indent=1))
