"""How much faster: training and inference with joint sampling, against a sweep over magnifications and against all patches.

    python experiments/ratios.py runs/three-scales

writes `experiments/results/ratios-{training,inference}.json`, unless they are there; on an idle machine. Everything is measured
in turns in one process, with the networks of `three_scales.py`, reading from the slide files included:

- *training*: a step of 16 slides of the cohort, in each turn other ones. All patches: 16 slides in steps of 4, read from their
  files, or the same ones every time, held in memory. Together with the epochs that the result files of `three_scales.py` say were
  needed, this gives the time to an accuracy.
- *inference*: one slide, from the file to the probabilities: its overview, tissue mask, attention, the most probable patches;
  or every cell at every magnification, in chunks. Slides of 0.05 to 3.2 gigapixels, see `benchmarks/giant.py`; each turn
  takes another file, so that no cache is warm. Where a pass over all patches takes longer than `--patience`, larger slides
  are left out; nothing is extrapolated.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.append(str(Path(__file__).resolve().parent / "benchmarks"))

import keras
import numpy as np
import tensorflow as tf
import typer
from gated_attention import GatedAttention, Trainer, read_bags
from giant import write_giant
from result_files import RESULTS, contest, kept
from stain_free import stain_free_network
from three_scales_data import CLASSES, Cohort
from three_scales_model import Settings, classifier
from three_scales_runs import ALL_PATCHES_BATCH

from ats_mag.cli.script import run_script
from ats_mag.prediction.slide_inputs import slide_inputs

SIDES = (7072, 14144, 28288, 56576)  # 0.05 to 3.2 gigapixels, whole at every level of the pyramid
QUICK_SIDES = (2048, 4096)
CHUNK = 1024  # patches


def training(cohort: Cohort, settings: Settings, turns: int) -> dict[str, Any]:
    """Seconds for 16 slides, each contestant in its turn."""
    models = {"joint": classifier(settings)}
    models |= {
        f"single, {m:g} um/px": classifier(settings.model_copy(update={"magnifications": (m,)}))
        for m in settings.magnifications
    }

    def batches(seed: int) -> Iterator[Any]:
        return iter(cohort.training(settings.batch_size, seed).repeat())

    def step_of(model: Any, seed: int) -> Callable[[], Any]:
        model.compile(keras.optimizers.Adam(1e-3, clipnorm=1.0))
        model.optimizer.build(model.trainable_variables)  # as `fit` does, so that the step is traced once
        function = model.make_train_function() or model.train_function
        slides = batches(seed)
        return lambda: float(function(slides)["loss"])

    contestants = {name: step_of(model, seed) for seed, (name, model) in enumerate(models.items())}
    reader, slides = models["joint"], batches(len(models))
    inputs, held_labels = next(slides)
    held = list(read_bags(reader, _single(inputs)))
    trainer = Trainer(_every(settings), keras.optimizers.Adam(1e-3, clipnorm=1.0), held[0])

    def every(read: bool) -> Callable[[], Any]:
        def step() -> None:
            now, labels = iter(held), held_labels
            if read:
                inputs, labels = next(slides)
                now = read_bags(reader, _single(inputs))
            for first in range(0, len(labels), ALL_PATCHES_BATCH):
                chosen = [next(now) for _ in range(ALL_PATCHES_BATCH)]
                trainer.step(chosen, labels[first : first + ALL_PATCHES_BATCH].numpy())

        return step

    contestants |= {"all patches": every(True), "all patches, held in memory": every(False)}
    seconds = contest.seconds(contestants, turns)
    return {
        "slides": settings.batch_size,
        "patches_per_slide": {
            "joint": settings.n_patches,
            "all patches": float(np.mean([len(b.patches) for b in held])),
        },
        "seconds": {name: contest.summary(values) for name, values in seconds.items()},
        "times_joint": {name: contest.ratio(seconds["joint"], values) for name, values in seconds.items()},
        "sweep_times_joint": _median_ratio(seconds),
    }


def _median_ratio(seconds: dict[str, list[float]]) -> float:
    """The sum of a step at each magnification, as a multiple of a joint step: median over the turns."""
    sums = np.sum([values for name, values in seconds.items() if name.startswith("single")], axis=0)
    return float(np.median(sums / np.array(seconds["joint"])))


def _single(inputs: dict[str, Any]) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices(inputs).batch(1)


def _every(settings: Settings) -> GatedAttention:
    keras.utils.set_random_seed(settings.seed)
    return GatedAttention(len(CLASSES), stain_free_network(settings.patch_size))


class Inference:
    """Both ways from a slide's file to its probabilities."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.model = classifier(settings)
        self.every = _every(settings)
        self.every(
            np.zeros((1, settings.patch_size, settings.patch_size, 3), np.uint8), np.zeros(1, np.int32), n_slides=1
        )
        self._features = tf.function(
            lambda patches: self.every.feature(tf.cast(patches, tf.float32)), reduce_retracing=True
        )
        self._call = tf.function(lambda inputs: self.model(inputs, training=False), reduce_retracing=True)

    def inputs(self, path: Path) -> dict[str, Any]:
        return slide_inputs([str(path)], self.settings.overview_mpp, self.settings.stride)

    def joint(self, path: Path) -> np.ndarray:
        return self._call(self.inputs(path)).numpy()[0]

    def all_patches(self, path: Path) -> np.ndarray:
        inputs = self.inputs(path)
        valid = keras.ops.convert_to_numpy(self.model.cells(inputs["mask"]))[0]
        places = np.argwhere(valid)
        features = []
        for m in range(len(self.settings.magnifications)):
            cells = np.concatenate([places, np.full((len(places), 1), m)], axis=1).astype(np.int32)
            for first in range(0, len(cells), CHUNK):
                patches, _ = self.model.read(inputs, tf.constant(cells[None, first : first + CHUNK]))
                features.append(self._features(patches[0]))
        joined = tf.concat(features, axis=0)
        return self.every.pool(joined, tf.zeros(len(joined), tf.int32), 1)[0].numpy()[0]


def inference(
    settings: Settings, folder: Path, sides: tuple[int, ...], turns: int, patience: float
) -> list[dict[str, Any]]:
    """Seconds of each size, the two ways in turns on files of their own."""
    ways = Inference(settings)
    found, longest = [], 0.0
    for side in sides:
        slides = [write_giant(folder / f"giant-{side}-{n}.tiff", side, seed=n) for n in range(turns + 1)]
        size: dict[str, Any] = {"gigapixels": side**2 / 1e9, "side": side}
        too_long = longest * 4 > patience  # each size has four times the area of the one before
        seconds: dict[str, list[float]] = {"joint": [], "all patches": []}
        for slide in slides:
            for name, way in (("joint", ways.joint), ("all patches", ways.all_patches)):
                if name == "all patches" and (
                    too_long or (len(seconds[name]) > 1 and seconds[name][-1] > patience / 3)
                ):
                    continue  # twice is enough of what takes minutes
                begun = time.perf_counter()
                way(slide)
                seconds[name].append(time.perf_counter() - begun)
        size["seconds"] = {name: contest.summary(values[1:]) for name, values in seconds.items() if len(values) > 1}
        size["cells"] = len(
            np.argwhere(keras.ops.convert_to_numpy(ways.model.cells(ways.inputs(slides[0])["mask"]))[0])
        )
        size["patches"] = {"joint": settings.n_patches, "all patches": size["cells"] * len(settings.magnifications)}
        if "all patches" in size["seconds"]:
            longest = size["seconds"]["all patches"]["median"]
            size["all_patches_times_joint"] = longest / size["seconds"]["joint"]["median"]
        found.append(size)
        print(size, flush=True)
        for slide in slides:
            slide.unlink()
    return found


def main(
    slides: Annotated[Path, typer.Argument(help="Folder made by data_prep/three_scale_slides.py.")] = Path(
        "runs/three-scales"
    ),
    turns: Annotated[int, typer.Option(min=1)] = 5,
    patience: Annotated[float, typer.Option(help="Longest pass over all patches, seconds.")] = 400.0,
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = RESULTS,
    quick: Annotated[bool, typer.Option("--quick", help="Two turns, small slides; choose another --out.")] = False,
) -> None:
    """Measures both ratios."""
    if quick and out == RESULTS:
        raise typer.BadParameter("--quick measures nothing worth keeping: give another folder with --out")
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


if __name__ == "__main__":
    run_script(main)
