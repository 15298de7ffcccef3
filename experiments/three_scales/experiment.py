"""Joint sampling of place and magnification against every reasonable alternative, on slides of three scales.

    python -m data_prep.three_scale_slides TILES runs/three-scales --seed 2
    python -m experiments.three_scales runs/three-scales --seeds 3

Every contestant is trained on the same slides with the same networks, and measured on the same test slides as it is after the last
epoch; no epoch is chosen:

- `joint, METHOD`: one attention over place and magnification, drawn by each estimator, or learnt with the gradient of
  attention-sampling 0.2,
- `single, X um/px`: attention sampling at one magnification, with as many patches,
- `uniform`: joint, the attention frozen uniform over the tissue,
- `all patches, ...`: every cell at one magnification or at all, with gated attention pooling, trained end to end from patches
  in memory; as many steps as the others, of fewer slides,
- `all patches, features of joint`: every cell, the features computed once with the network that `joint, priority` has learnt with that
  seed, which must have been run,
- `overview`: a small convolutional network that sees the overview alone,
- `colour`: logistic regression on colour histograms of the overview.

Each run writes `experiments/results/three-scales/CONTESTANT-seedK.json`, in a process of its own, and one that is there is not
run again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from experiments.common.processes import run_module
from experiments.common.quick import check_names, check_out
from experiments.common.result_files import kept, read
from experiments.three_scales.contestants import (
    CONTESTANTS,
    OUT,
    configuration_of,
    kind_of,
    path_of,
    settings_of,
)
from experiments.three_scales.data import Cohort
from experiments.three_scales.settings import Settings


def measure(contestant: str, seed: int, cohort: Cohort, out: Path, quick: bool) -> None:
    """Runs one contestant, unless its result is there."""
    from experiments.three_scales.runs import RUN

    settings = settings_of(contestant, seed, quick)
    model = cohort.folder / "models" / path_of(contestant, seed).with_suffix(".keras").name
    kept(
        path_of(contestant, seed, out),
        configuration_of(contestant, settings, cohort),
        lambda: RUN[kind_of(contestant)](cohort, settings, model),
    )


def main(
    slides: Annotated[Path, typer.Argument(help="Folder made by data_prep.three_scale_slides.")] = Path(
        "runs/three-scales"
    ),
    seeds: Annotated[int, typer.Option(min=1, help="Seeds 0, 1, ...")] = 3,
    only: Annotated[list[str] | None, typer.Option(help="Contestants to run. [default: all]")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = OUT,
    threads: Annotated[int, typer.Option(min=1, help="Of TensorFlow.")] = 2,
    quick: Annotated[bool, typer.Option("--quick", help="One seed and two epochs; choose another --out.")] = False,
    one: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Runs what has no result yet."""
    check_names(only, CONTESTANTS)
    check_out(quick, out, OUT)
    if one is not None and only:
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    cohort = Cohort(slides, Settings().overview_mpp)
    if one is not None and only:
        measure(only[0], one, cohort, out, quick)
        return
    for seed in range(1 if quick else seeds):
        for contestant in only or CONTESTANTS:
            configuration = configuration_of(contestant, settings_of(contestant, seed, quick), cohort)
            if read(path_of(contestant, seed, out), configuration):
                continue
            print(f"{contestant}, seed {seed}", flush=True)
            arguments = [slides, "--only", contestant, "--one", seed, "--out", out, "--threads", threads]
            run_module("experiments.three_scales", *arguments, *(["--quick"] if quick else []))
