"""The same default on cohorts of every kind: what `ats-mag plan` writes, no other key set.

    python -m experiments.panel runs/panel --tiles TILES --glas GLAS --mnist mnist.npz
    python -m experiments.panel runs/panel --tiles TILES --glas GLAS --mnist mnist.npz --development

Choices are made on the cohorts of `--development`; those without it are for the measurement, and no choice has seen them. Each
cohort goes through `ats-mag plan`, `prepare`, `train` and `evaluate`; what it is compared with is in
`experiments/cohort_runs`. Each run writes one file in `experiments/results/panel/COHORT`, and one that is there is not run again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from ats_mag.config.schema import RunConfig
from experiments.cohort_runs.options import Only, Out, Seeds
from experiments.cohort_runs.results import ALL, JOINT, LIGHT
from experiments.cohort_runs.runs import measure
from experiments.common.processes import run_module
from experiments.common.result_files import RESULTS
from experiments.panel.ablation import COHORTS as ABLATED
from experiments.panel.ablation import WITHOUT
from experiments.panel.cohorts import COHORTS, MANIFEST, PLACES, Sources, make_once
from experiments.panel.places import attention_on_places
from experiments.scanners.experiment import agreement

OUT = RESULTS / "panel"
PLANNED = "planned"


def run_cohort(name: str, folder: Path, sources: Sources, development: bool, **options: Any) -> None:
    """Makes a cohort, plans it and measures it.

    Args:
        name: of the cohort.
        folder: of the panel's slides and runs.
        sources: that cohorts are made of.
        development: whether it is the cohort that choices are made on.
        **options: of `measure`.
    """
    slides, here = make_once(name, folder, sources, development), folder / name
    config = here / PLANNED / "config.yaml"
    if not config.exists():
        run_module("ats_mag.cli", "plan", here / MANIFEST, "--slides", slides, "--out", config)

    def more(settings: RunConfig, contestant: str) -> dict[str, Any]:
        if contestant not in (JOINT, *WITHOUT):
            return {}
        if name == "scanners":
            return {"predictions": agreement(pd.read_csv(settings.run / "fold-0" / "slides.csv"))}
        return attention_on_places(settings, here / PLACES)

    measure(config.parent, more=more, **options)


def main(
    folder: Annotated[Path, typer.Argument(help="Folder of slides, records and runs.")] = Path("runs/panel"),
    tiles: Annotated[Path | None, typer.Option(help="Colon tiles, see data_prep.synthetic_slides.")] = None,
    glas: Annotated[Path | None, typer.Option(help="The unpacked GlaS challenge.")] = None,
    mnist: Annotated[Path | None, typer.Option(help="mnist.npz.")] = None,
    cohorts: Annotated[
        list[str] | None, typer.Option(help="Cohorts to run. [default: all that data are given for]")
    ] = None,
    seeds: Seeds = 3,
    only: Only = None,
    ablation: Annotated[bool, typer.Option("--ablation", help="Each part of the recipe taken away, too.")] = False,
    development: Annotated[
        bool, typer.Option("--development", help="On the cohorts that choices are made on.")
    ] = False,
    out: Out = OUT,
) -> None:
    """Runs what has no result yet, and prints a table per cohort."""
    sources = Sources(tiles, glas, mnist)
    if unknown := sorted(set(cohorts or ()) - set(COHORTS)):
        raise typer.BadParameter(f"unknown: {', '.join(unknown)}; there are {', '.join(COHORTS)}")
    if development:
        folder, out = folder / "development", out / "development"
    for name, cohort in COHORTS.items():
        missing = cohort.source is not None and getattr(sources, cohort.source) is None
        if (cohorts and name not in cohorts) or (missing and not cohorts):
            continue
        if missing:
            raise typer.BadParameter(f"{name} needs --{cohort.source}")
        others = {ALL: cohort.every} | ({LIGHT: cohort.fields} if cohort.fields else {})
        others |= WITHOUT if ablation and name in ABLATED else {}
        run_cohort(name, folder, sources, development, out=out / name, seeds=seeds, only=only, others=others)
