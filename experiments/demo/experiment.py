"""The demo over several seeds, beside uniform draws: one result file per seed, and a seed that has its file is not run again.

python -m experiments.demo
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ats_mag.demo.run import run
from experiments.common.result_files import RESULTS


def main(
    seeds: Annotated[int, typer.Option(help="Seeds 0, 1, ...")] = 3,
    out: Annotated[Path, typer.Option(help="Folder of slides and models.")] = Path("runs/demo"),
) -> None:
    """Runs what has no result yet."""
    console = Console()
    for seed in range(seeds):
        results = RESULTS / f"demo-seed{seed}.json"
        if results.exists():
            console.print(f"{results} exists: seed {seed} is not run again", highlight=False)
            continue
        folder = out / f"seed{seed}"
        folder.mkdir(parents=True, exist_ok=True)
        run(folder, seed, console, control=True, results=results)
