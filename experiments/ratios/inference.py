"""Seconds from a slide's file to its probabilities: joint, and over all patches."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ats_mag.model.slide_inputs import slide_inputs
from ats_mag.tensors import Tensor
from experiments.benchmarks.giant_slides import write_giant
from experiments.common import in_turns
from experiments.three_scales.all_patches import new_model
from experiments.three_scales.model import classifier
from experiments.three_scales.settings import Settings

CHUNK = 1024  # patches


class Inference:
    """Both ways from a slide's file to its probabilities."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.model = classifier(settings)
        self.every = new_model(settings)
        self.every(
            np.zeros((1, settings.patch_size, settings.patch_size, 3), np.uint8), np.zeros(1, np.int32), n_slides=1
        )
        self._features = tf.function(
            lambda patches: self.every.feature(tf.cast(patches, tf.float32)), reduce_retracing=True
        )
        self._call = tf.function(lambda inputs: self.model(inputs, training=False), reduce_retracing=True)

    def inputs(self, path: Path) -> dict[str, Tensor]:
        """The slide as the model takes it, its overview read."""
        return slide_inputs([str(path)], self.settings.overview_mpp, self.settings.stride)

    def joint(self, path: Path) -> np.ndarray:
        """Probabilities `(C,)` from the most probable patches."""
        return self._call(self.inputs(path)).numpy()[0]

    def all_patches(self, path: Path) -> np.ndarray:
        """Probabilities `(C,)` from every cell at every magnification."""
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
        size["seconds"] = {name: in_turns.summary(values[1:]) for name, values in seconds.items() if len(values) > 1}
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
