"""Joint sampling of place and magnification against every reasonable alternative, on slides of three scales.

    python data_prep/three_scale_slides.py TILES runs/three-scales --seed 2
    python experiments/three_scales.py runs/three-scales --seeds 3

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

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import result_files
import typer
from three_scales_data import MAGNIFICATIONS, Cohort
from three_scales_model import GRADIENT, Settings

from ats_mag.cli.script import run_script

OUT = result_files.RESULTS / "three-scales"
JOINT = {f"joint, {m}": {"method": m} for m in ("priority", "sequential", "replacement", GRADIENT)}
SINGLE = {f"single, {mpp:g} um-px": {"magnifications": (mpp,)} for mpp in MAGNIFICATIONS}
SAMPLED: dict[str, dict[str, Any]] = {**JOINT, **SINGLE, "uniform": {"uniform": True}}
ALL = {"all patches, every magnification": {}} | {
    f"all patches, {mpp:g} um-px": {"magnifications": (mpp,)} for mpp in MAGNIFICATIONS
}
_ALWAYS = {"overview_mpp", "stride", "seed"}
_TRAINED = {*_ALWAYS, "batch_size", "epochs", "learning_rate"}
FEATURES = "all patches, features of joint"
USED = {
    "all patches": {*_TRAINED, "magnifications", "patch_size"},
    "joint's features": {*_TRAINED, "magnifications", "patch_size"},
    "overview": _TRAINED,
    "colour": _ALWAYS,
}  # else: all
CONTESTANTS = (*SAMPLED, *ALL, FEATURES, "overview", "colour")


def path_of(contestant: str, seed: int, out: Path = OUT) -> Path:
    return out / f"{contestant.replace(', ', '-').replace(' ', '-')}-seed{seed}.json"


def kind_of(contestant: str) -> str:
    if contestant == FEATURES:
        return "joint's features"
    return "sampled" if contestant in SAMPLED else "all patches" if contestant in ALL else contestant


def settings_of(contestant: str, seed: int, quick: bool) -> Settings:
    changed = {"epochs": 2, "hold_epochs": 0, "attention_epochs": 0} if quick else {}
    return Settings(seed=seed, **changed, **(SAMPLED | ALL).get(contestant, {}))


def configuration_of(contestant: str, settings: Settings, cohort: Cohort) -> dict[str, Any]:
    """What a result depends on."""
    told = settings.model_dump(mode="json", include=USED.get(kind_of(contestant)))
    return {"contestant": contestant, "settings": told, "slides": cohort.description}


def measure(contestant: str, seed: int, cohort: Cohort, out: Path, quick: bool) -> None:
    """Runs one contestant, unless its result is there."""
    import three_scales_runs as contests

    settings = settings_of(contestant, seed, quick)
    model = cohort.folder / "models" / path_of(contestant, seed).with_suffix(".keras").name
    result_files.kept(
        path_of(contestant, seed, out),
        configuration_of(contestant, settings, cohort),
        lambda: contests.RUN[kind_of(contestant)](cohort, settings, model),
    )


def main(
    slides: Annotated[Path, typer.Argument(help="Folder made by data_prep/three_scale_slides.py.")] = Path(
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
    unknown = set(only or ()) - set(CONTESTANTS)
    if unknown:
        raise typer.BadParameter(f"unknown: {', '.join(sorted(unknown))}; there are {'; '.join(CONTESTANTS)}")
    if quick and out == OUT:
        raise typer.BadParameter("--quick measures nothing worth keeping: give another folder with --out")
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
            if result_files.read(path_of(contestant, seed, out), configuration):
                continue
            print(f"{contestant}, seed {seed}", flush=True)
            arguments = [slides, "--only", contestant, "--one", seed, "--out", out, "--threads", threads]
            command = [sys.executable, __file__, *map(str, arguments), *(["--quick"] if quick else [])]
            if status := subprocess.run(command, check=False).returncode:
                sys.exit(f"{contestant}, seed {seed}: ended with status {status}")


if __name__ == "__main__":
    run_script(main)
