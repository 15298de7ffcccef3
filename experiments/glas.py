"""GlaS, from the unpacked pictures to the measures of testA, beside what colour alone tells.

    python experiments/glas.py "Warwick QU Dataset" runs/glas --seed 0

runs `data_prep/glas.py`, `ats-mag prepare`, `train` and `evaluate` as a user would, and `colour_baseline.py` on the same
division, and writes `experiments/results/glas-seed0.json`. What the folder holds already is not made again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

ROOT = Path(__file__).resolve().parents[1]
MEASURES = ("auroc", "accuracy", "balanced_accuracy", "ece")


def run(*command: object) -> None:
    done = subprocess.run([sys.executable, *map(str, command)], check=False)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} ended with status {done.returncode}")


def configure(cohort: Path, seed: int) -> Path:
    """The cohort's configuration with a seed and a run's folder of its own; records are shared."""
    settings = yaml.safe_load((cohort / "config.yaml").read_text())
    settings["run"] = f"run-{seed}"
    settings["prepare"]["records"] = "records"
    settings["train"]["seed"] = seed
    path = cohort / f"config-{seed}.yaml"
    path.write_text(yaml.safe_dump(settings, sort_keys=False))
    return path


def measures(folder: Path) -> dict[str, Any]:
    """Of the test fields, with intervals."""
    found = json.loads((folder / "metrics.json").read_text())["slides"]
    return {"fields": found["count"]} | {name: found["measures"][name] for name in MEASURES}


def main(
    data: Annotated[Path, typer.Argument(help="Folder of the unpacked data set, see data_prep/glas.py.")],
    out: Annotated[Path, typer.Argument(help="Folder of cohort and runs.")] = Path("runs/glas"),
    seed: Annotated[int, typer.Option(help="Of the training.")] = 0,
    results: Annotated[Path, typer.Option(help="Where the result goes.")] = ROOT / "experiments" / "results",
) -> None:
    """Trains and measures one seed, unless its result is there."""
    result = results / f"glas-seed{seed}.json"
    if result.exists():
        print(f"{result} is there already")
        return
    run(ROOT / "data_prep" / "glas.py", data, out)
    config = configure(out, seed)
    for verb in ("prepare", "train", "evaluate"):
        run("-m", "ats_mag.cli", verb, config)
    run(ROOT / "experiments" / "colour_baseline.py", config)
    folder = out / f"run-{seed}"
    report = {
        "experiment": "glas",
        "seed": seed,
        "cpus": os.cpu_count(),
        "measures": {
            "joint attention sampling": measures(folder / "fold-0"),
            "colour histograms": measures(folder / "colour-baseline" / "fold-0"),
        },
    }
    result.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    typer.run(main)
