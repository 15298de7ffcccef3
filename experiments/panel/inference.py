"""Seconds from a slide's file to what the head needs: joint sampling, all patches, and a selection by a light network.

    python -m experiments.panel.inference runs/panel --cohorts crc-tiles

In turns in one process, on the first test slides of each cohort, after one that is not counted: reading the overview, the tissue and
all patches from the file included, features known from before not. Joint sampling is the trained model of seed 0; all
patches and the light selection are timed without their heads, which take next to nothing, and so with weights that have learnt
nothing.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from ats_mag.cli.script import run_script
from experiments.common.result_files import RESULTS, kept
from experiments.panel.cohorts import COHORTS, PanelCohort

OUT = RESULTS / "panel"
JOINT_CONFIG = Path("planned") / "config-joint-seed0.yaml"
Way = Callable[[str, float], Any]


def ways(config_file: Path, cohort: PanelCohort) -> dict[str, Way]:
    """Functions of a slide's path and resolution.

    Raises:
        FileNotFoundError: joint sampling was not trained.
    """
    import keras

    from ats_mag.config.reading import read_config
    from ats_mag.config.schema import RunConfig
    from ats_mag.model.slide_inputs import slide_inputs
    from ats_mag.prediction.predictor import Predictor
    from ats_mag.runs.run import Run
    from ats_mag.training.build import build_model, recipe_of
    from experiments.cohort_runs.light_selection import PLACES, light_config
    from experiments.cohort_runs.results import ALL, JOINT, LIGHT

    config = read_config(config_file)
    run = Run.open(config)
    predictor = Predictor(run.layout.fold(0).trained_model())

    def encoder(config: RunConfig) -> Callable[[str, float, int | None], np.ndarray]:
        model = build_model(config, recipe_of(config), run.classes, config.prepare.overview_mpp, 1, 1)

        def encode(path: str, mpp: float, number: int | None) -> np.ndarray:
            inputs = slide_inputs([path], config.prepare.overview_mpp, model.overview_multiple, [mpp], "whole")
            valid = np.argwhere(keras.ops.convert_to_numpy(model.cells(inputs["mask"]))[0])[:number]
            kinds = range(len(model.magnifications))
            cells = np.array([(*cell, m) for m in kinds for cell in valid], np.int32)
            patches, _ = model.read(inputs, keras.ops.convert_to_tensor(cells[None]))
            return keras.ops.convert_to_numpy(model.feature.encode(patches[0]))

        return encode

    def changed(changes: Any) -> RunConfig:
        own = {key.removeprefix("model."): value for key, value in changes.items()}
        return config.model_copy(update={"model": config.model.model_copy(update=own)})

    every = encoder(changed(cohort.every))
    found: dict[str, Way] = {
        JOINT: lambda path, mpp: predictor.predict(path, mpp),
        ALL: lambda path, mpp: every(path, mpp, None),
    }
    if cohort.fields:
        light, full = encoder(light_config(changed(cohort.fields))), encoder(changed(cohort.fields))
        found[LIGHT] = lambda path, mpp: (light(path, mpp, None), full(path, mpp, PLACES))
    return found


def measure(config_file: Path, cohort: PanelCohort, count: int) -> dict[str, dict[str, float]]:
    """Median seconds of a slide by each way, of the processor and by the clock."""
    from ats_mag.config.reading import read_config
    from ats_mag.runs.run import Run

    config = read_config(config_file)
    slides = Run.open(config).test_slides(0).head(count + 1)
    manifest = Run.open(config).manifest.set_index("slide_id")
    took: dict[str, list[tuple[float, float]]] = {}
    known = ways(config_file, cohort)
    for slide in slides["slide_id"]:
        path = str(config.data.slides / manifest.loc[slide, "path"])
        mpp = float(manifest.loc[slide].get("mpp", float("nan")))
        for name, way in known.items():
            begun = time.process_time(), time.perf_counter()
            way(path, mpp)
            took.setdefault(name, []).append((time.process_time() - begun[0], time.perf_counter() - begun[1]))
    kinds = ("processor", "clock")
    return {
        name: {kind: statistics.median(one[i] for one in times[1:]) for i, kind in enumerate(kinds)}
        for name, times in took.items()
    }


def main(
    folder: Annotated[Path, typer.Argument(help="The panel's folder of slides and runs.")] = Path("runs/panel"),
    cohorts: Annotated[list[str] | None, typer.Option(help="Cohorts to time. [default: all that were trained]")] = None,
    slides: Annotated[int, typer.Option(min=1, help="How many of each.")] = 20,
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = OUT,
) -> None:
    """Times what has no result yet."""
    for name in cohorts or [name for name in COHORTS if (folder / name / JOINT_CONFIG).exists()]:
        config = folder / name / JOINT_CONFIG
        kept(
            out / f"inference-{name}.json",
            {"cohort": name, "slides": slides},
            lambda config=config, name=name: {"seconds": measure(config, COHORTS[name], slides)},
        )


if __name__ == "__main__":
    run_script(main)
