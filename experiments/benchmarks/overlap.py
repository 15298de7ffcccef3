"""How much of the reading hides behind computing: a training step, its reading alone and its computing alone.

The reader is held to one thread and TensorFlow to one thread per operation, so that reading and computing have one core
each, and the patches and the feature network are such that the two take about equally long. Then a step without overlap
takes the sum of both, and one with perfect overlap the longer of them.

    python experiments/benchmarks/overlap.py --slides FOLDER
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

# Both are read when the libraries start. A small cache of tiles: each contestant is to decode what it reads.
os.environ["ATS_MAG_THREADS"] = "1"
os.environ["ATS_MAG_CACHE_BYTES"] = str(16 << 20)

import contest
import keras
import numpy as np
import tensorflow as tf

from ats_mag.inference import slide_inputs
from ats_mag.models import SlideClassifier
from ats_mag.networks import attention_network, feature_network
from ats_mag.slides.pyramid import write_pyramid

PARTS = (1, 4, 8)
OVERVIEW_MPP, STRIDE, CLASSES = 16.0, 8, 2


class ComputesOnly(SlideClassifier):
    """The model on patches that were read before."""

    held: Any = None

    def read(self, inputs: Any, index: Any) -> tuple[Any, Any]:
        patches = self.held[: tf.shape(index)[0]]
        return patches, tf.ones(tf.shape(patches)[:2], tf.bool)


def make_slides(folder: Path, count: int, side: int = 8192) -> list[str]:
    """Slides of a stained section, turned and mirrored, at 0.5 um/px."""
    from skimage import data

    section = data.immunohistochemistry()
    paths = []
    for i in range(count):
        turned = np.rot90(section[:, ::-1] if i % 2 else section, i // 2)
        image = np.tile(turned, (side // section.shape[0], side // section.shape[1], 1))
        paths.append(str(write_pyramid(folder / f"slide{i}.tif", image, 0.5)))
    return paths


def build(kind: type[SlideClassifier], options: argparse.Namespace, parts: int) -> SlideClassifier:
    keras.utils.set_random_seed(0)
    model = kind(
        CLASSES,
        ("20x", "5x"),
        patch_size=options.patch_size,
        n_patches=options.patches,
        overview_mpp=OVERVIEW_MPP,
        attention=attention_network(2, STRIDE),
        feature=feature_network(options.patch_size, filters=options.filters),
        overlap=parts,
        seed=0,
    )
    model.compile(keras.optimizers.Adam(1e-4), jit_compile=False)
    return model


def contestants(batches: list[Any], options: argparse.Namespace) -> dict[str, Callable[[], Any]]:
    """Each takes one step on the batch that is its turn."""

    def steps(model: SlideClassifier) -> Callable[[], Any]:
        turns = cycle(batches)
        return lambda: model.train_on_batch(*next(turns))

    model = build(SlideClassifier, options, 1)
    read = tf.function(model.read)

    def draws() -> Iterator[tuple[Any, Any]]:
        attentions = [model.attend(inputs) for inputs, _ in batches]
        for (inputs, _), attention in cycle(list(zip(batches, attentions, strict=True))):
            yield inputs, model.draw(attention, training=True).index

    drawn = draws()
    found: dict[str, Callable[[], Any]] = {"reading": lambda: read(*next(drawn))[0].numpy()}
    held, _ = read(*next(drawn))
    for parts in PARTS:
        computing = build(ComputesOnly, options, parts)
        computing.held = held
        found[f"computing, {parts} parts"] = steps(computing)
        found[f"step, {parts} parts"] = steps(build(SlideClassifier, options, parts))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slides", type=Path, help="folder of slides; without it, a few are made")
    parser.add_argument("--batch", type=int, default=8, help="slides per step")
    parser.add_argument("--patches", type=int, default=32, help="patches per slide")
    parser.add_argument("--patch-size", type=int, default=224, help="pixels")
    parser.add_argument("--filters", type=int, nargs="+", default=[8, 8, 8, 8], help="of the feature network, by 8")
    parser.add_argument("--repeats", type=int, default=12)
    parser.add_argument("--inter-op", type=int, default=4, help="TensorFlow's threads for operations side by side")
    options = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(options.inter_op)

    with tempfile.TemporaryDirectory() as folder:
        count = 2 * options.batch
        if options.slides is None:
            paths = make_slides(Path(folder), count)
        else:
            paths = sorted(str(path) for path in options.slides.rglob("*.tif*"))[:count]
        if len(paths) < count:
            parser.error(f"{count} slides are needed, {options.slides} holds {len(paths)}")
        inputs = slide_inputs(paths, OVERVIEW_MPP, STRIDE)
        tensors = {name: tf.constant(value) for name, value in inputs.items()}
        batches = []
        for start in range(0, count, options.batch):
            batch = {name: value[start : start + options.batch] for name, value in tensors.items()}
            batches.append((batch, tf.range(options.batch) % CLASSES))
        taken = contest.seconds(contestants(batches, options), options.repeats)

    figures = {name: contest.summary(values) for name, values in taken.items()}
    reading, computing = figures["reading"]["median"], figures["computing, 1 parts"]["median"]
    ratios = {
        # Each turn against its own neighbours in time, as other load on the machine comes and goes.
        str(parts): statistics.median(
            step / max(read, compute)
            for step, read, compute in zip(
                taken[f"step, {parts} parts"], taken["reading"], taken["computing, 1 parts"], strict=True
            )
        )
        for parts in PARTS
    }
    rows = [
        [name, f"{f['median'] * 1e3:.0f}", f"{f['min'] * 1e3:.0f}", f"{f['median'] / max(reading, computing):.2f}"]
        for name, f in figures.items()
    ]
    contest.show("A training step", ["", "ms", "least", "/ longer of the two"], rows)
    settings = {key: value for key, value in vars(options).items() if key != "slides"}
    settings["slides"] = "made" if options.slides is None else "given"
    print(contest.write("overlap", {"settings": settings, "seconds": figures, "step_to_longer": ratios}))


if __name__ == "__main__":
    main()
