"""How much faster: training and inference with joint sampling, against a sweep over magnifications and against all patches.

    python -m experiments.ratios runs/three-scales

writes `experiments/results/ratios-{training,inference}.json`, unless they are there; on an idle machine. Everything is measured
in turns in one process, with the networks of `experiments/three_scales`, reading from the slide files included:

- *training*: a step of 16 slides of the cohort, in each turn other ones. All patches: 16 slides in steps of 4, read from their
  files, or the same ones every time, held in memory. Together with the epochs that its result files say were
  needed, this gives the time to an accuracy.
- *inference*: one slide, from the file to the probabilities: its overview, tissue mask, attention, the most probable patches;
  or every cell at every magnification, in chunks. Slides of 0.05 to 3.2 gigapixels, see `benchmarks/giant_slides.py`; each turn
  takes another file, so that no cache is warm. Where a pass over all patches takes longer than `--patience`, larger slides
  are left out; nothing is extrapolated.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from experiments.common.quick import check_out
from experiments.common.result_files import RESULTS, kept
from experiments.ratios.inference import inference
from experiments.ratios.training import training
from experiments.three_scales.data import Cohort
from experiments.three_scales.settings import Settings

SIDES = (7072, 14144, 28288, 56576)  # 0.05 to 3.2 gigapixels, whole at every level of the pyramid
QUICK_SIDES = (2048, 4096)


def main(
    slides: Annotated[Path, typer.Argument(help="Folder made by data_prep.three_scale_slides.")] = Path(
        "runs/three-scales"
    ),
    turns: Annotated[int, typer.Option(min=1)] = 5,
    patience: Annotated[float, typer.Option(help="Longest pass over all patches, seconds.")] = 400.0,
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = RESULTS,
    quick: Annotated[bool, typer.Option("--quick", help="Two turns, small slides; choose another --out.")] = False,
) -> None:
    """Measures both ratios."""
    check_out(quick, out, RESULTS)
    settings = Settings()
    turns, sides = (2, QUICK_SIDES) if quick else (turns, SIDES)
    shared: dict[str, Any] = {"settings": settings.model_dump(), "turns": turns}
    kept(
        out / "ratios-training.json",
        shared,
        lambda: training(Cohort(slides, settings.overview_mpp), settings, turns),
    )
    with tempfile.TemporaryDirectory() as folder:
        kept(
            out / "ratios-inference.json",
            {**shared, "patience": patience},
            lambda: {"sizes": inference(settings, Path(folder), sides, turns, patience)},
        )
