"""Finds cancer on at most 2 % of the tissue, from slide labels alone: what the package does by default, and four baselines.

Reads slides made by `data_prep.synthetic_slides`, prepares their records, trains a `SlideClassifier` with the default encoder
and recipe straight from the slide files, and compares its test AUC with

- `start`: the same, its attention held as it starts: on what is salient,
- `uniform`: the same, its attention held uniform over the tissue; patches are drawn at test, too,
- `overview`: a small convolutional network on the overview that the attention network sees,
- `colour`: logistic regression on colour statistics of the slide's tissue at 8 um/px.

    python -m experiments.crc_tiles runs/crc-tiles

Each run is one file in `experiments/results/crc-tiles`, and what has one is not run again.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from experiments.common.result_files import RESULTS, kept
from experiments.common.table import show
from experiments.crc_tiles.baselines import colour_baseline, overview_baseline
from experiments.crc_tiles.data import Cohort, places_share
from experiments.crc_tiles.settings import Settings
from experiments.crc_tiles.train import train

Run = Callable[[Cohort, Path], dict[str, Any]]
CONTESTANTS: dict[str, Run] = {
    "joint": train,
    "start": lambda cohort, model: train(cohort, model, "start"),
    "uniform": lambda cohort, model: train(cohort, model, "uniform"),
    "overview": lambda cohort, model: overview_baseline(cohort),
    "colour": lambda cohort, model: colour_baseline(cohort),
}
SEEDLESS = "colour"


def main(
    slides: Annotated[Path, typer.Argument(help="Folder made by data_prep.synthetic_slides.")] = Path("runs/crc-tiles"),
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = RESULTS / "crc-tiles",
    models: Annotated[Path | None, typer.Option(help="Folder of the models. [default: SLIDES/models]")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds 0, 1, ... of weights, order and draws.")] = 3,
    steps: Annotated[int, typer.Option(min=1, help="Of training.")] = Settings().steps,
    n_patches: Annotated[int, typer.Option(min=2, help="N, patches per slide.")] = Settings().n_patches,
    overview_mpp: Annotated[float, typer.Option(help="um/px of the overview.")] = Settings().overview_mpp,
    snap: Annotated[bool, typer.Option(help="Whether patches move onto the tile grid.")] = Settings().snap,
    only: Annotated[list[str] | None, typer.Option(help="Contestants to run.")] = None,
) -> None:
    """Runs what has no result yet, and prints the test AUCs."""
    if unknown := set(only or ()) - set(CONTESTANTS):
        raise ValueError(f"--only must be one of {', '.join(CONTESTANTS)}. Received: {unknown.pop()!r}")
    rows = []
    for seed in range(seeds):
        settings = Settings(seed=seed, steps=steps, n_patches=n_patches, overview_mpp=overview_mpp, snap=snap)
        cohort = Cohort(slides, settings)
        described = {
            "settings": settings.model_dump(mode="json"),
            "slides": json.loads((slides / "cohort.json").read_text()),
        }
        for name, run in CONTESTANTS.items():
            if (only and name not in only) or (name == SEEDLESS and seed):
                continue
            model = (models or slides / "models") / f"{name}-seed{seed}.keras"
            more = {"places_share_of_tissue": places_share(cohort)}
            found = kept(
                out / f"{name}-seed{seed}.json",
                {"contestant": name, **described},
                lambda run=run, model=model, more=more, cohort=cohort: {**run(cohort, model), **more},  # type: ignore[misc]
            )
            rows.append([name, str(seed), f"{found['auc']:.3f}", "{:.3f} to {:.3f}".format(*found["auc_95"])])
    show(f"{len(cohort.labels['test'])} test slides", ["", "seed", "test AUC", "95 %"], rows)
