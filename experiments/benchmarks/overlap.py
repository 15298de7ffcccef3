"""How much of the reading hides behind computing: a training step, its reading alone and its computing alone.

    python experiments/benchmarks/overlap.py --slides FOLDER [--quick] [--out FILE]

writes `experiments/results/overlap.json`. All of TensorFlow runs on one processor and the reader on another, alone and
together, so that neither can borrow what the other leaves idle; the patches and the feature network are such that the
two take about equally long. Then a step without overlap takes the sum of both, one with perfect overlap in P parts
1 + 1/P times the longer of them. To hold the reader to its processor it is called through Python here.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from pathlib import Path
from typing import Any

# A small cache of tiles: each contestant is to decode what it reads.
os.environ["ATS_MAG_THREADS"] = "1"
os.environ["ATS_MAG_CACHE_BYTES"] = str(16 << 20)

import contest
import keras
import numpy as np
import tensorflow as tf

from ats_mag.model.classifier import SlideClassifier
from ats_mag.model.networks import attention_network, feature_network
from ats_mag.prediction.slide_inputs import slide_inputs
from ats_mag.slides import native
from ats_mag.slides.writing.pyramid import write_pyramid

PROCESSORS = sorted(os.sched_getaffinity(0))
PARTS = (1, 2, 4, 8)
OVERVIEW_MPP, STRIDE, CLASSES = 16.0, 8, 2
READER = ThreadPoolExecutor(1, initializer=lambda: os.sched_setaffinity(0, PROCESSORS[-1:]))


class ReadsElsewhere(SlideClassifier):
    """The model, its reader on the other processor."""

    def read(self, inputs: Any, index: Any, turns: Any = None) -> tuple[Any, Any]:
        return self._read(inputs, index) if turns is None else turns.take(lambda: self._read(inputs, index))

    def _read(self, inputs: Any, index: Any) -> tuple[Any, Any]:
        where = self.reader.place_cells(self.lattice, inputs["path"], index, inputs["geometry"])
        patches, valid = tf.numpy_function(self._call, [inputs["path"], *where], [tf.uint8, tf.bool], stateful=False)
        size = self.patch_size
        return tf.ensure_shape(patches, (None, self.n_patches, size, size, 3)), tf.ensure_shape(
            valid, (None, self.n_patches)
        )

    def _call(self, *where: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return READER.submit(native.read_patches, *where, (self.patch_size, self.patch_size)).result()


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
    small = options.patch_size // options.pool
    feature = keras.Sequential(
        [
            keras.Input((options.patch_size, options.patch_size, 3)),
            keras.layers.AveragePooling2D(options.pool),
            feature_network(small, filters=options.filters),
        ]
    )
    model = kind(
        CLASSES,
        ("20x", "5x"),
        patch_size=options.patch_size,
        n_patches=options.patches,
        overview_mpp=OVERVIEW_MPP,
        attention=attention_network(2, STRIDE),
        feature=feature,
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

    model = build(ReadsElsewhere, options, 1)
    read = tf.function(model.read)

    def draws() -> Iterator[tuple[Any, Any]]:
        attentions = [model.attend(inputs) for inputs, _ in batches]
        for (inputs, _), attention in cycle(list(zip(batches, attentions, strict=True))):
            yield inputs, model.draw(attention, training=True).index

    drawn = draws()
    found: dict[str, Callable[[], Any]] = {"reading": lambda: read(*next(drawn))[1].numpy()}
    held, _ = read(*next(drawn))
    for parts in PARTS:
        computing = build(ComputesOnly, options, parts)
        computing.held = held
        found[f"computing, {parts} parts"] = steps(computing)
        found[f"step, {parts} parts"] = steps(build(ReadsElsewhere, options, parts))
    return found


def to_longer(taken: dict[str, list[float]], parts: int) -> float:
    """Step time to the longer of reading and computing, each turn against its neighbours: other load comes and goes."""
    turns = zip(taken[f"step, {parts} parts"], taken["reading"], taken["computing, 1 parts"], strict=True)
    return statistics.median(step / max(reading, computing) for step, reading, computing in turns)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slides", type=Path, help="folder of slides; without it, a few are made")
    parser.add_argument("--batch", type=int, default=8, help="slides per step")
    parser.add_argument("--patches", type=int, default=32, help="patches per slide")
    parser.add_argument("--patch-size", type=int, default=224, help="pixels")
    parser.add_argument("--pool", type=int, default=4, help="by which patches are pooled before the feature network")
    parser.add_argument("--filters", type=int, nargs="+", default=[8, 16], help="of the feature network, by 8")
    parser.add_argument("--repeats", type=int, default=12)
    parser.add_argument("--quick", action="store_true", help="few small slides; writes nothing but what --out names")
    parser.add_argument("--out", type=Path, help="file to write instead")
    options = parser.parse_args()
    if len(PROCESSORS) < 2:
        parser.error("two processors are needed, one for the reader and one for TensorFlow")
    os.sched_setaffinity(0, PROCESSORS[:1])  # of this thread and of all that TensorFlow starts from here on
    # One thread waits for the reader while the other computes; both have one processor.
    tf.config.threading.set_inter_op_parallelism_threads(2)
    tf.config.threading.set_intra_op_parallelism_threads(1)
    if options.quick:
        options.batch, options.patches, options.repeats = 2, 4, 2

    with tempfile.TemporaryDirectory() as folder:
        count = 2 * options.batch
        if options.slides is None:
            paths = make_slides(Path(folder), count, 1024 if options.quick else 8192)
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
    longer = max(figures["reading"]["median"], figures["computing, 1 parts"]["median"])
    rows = [
        [name, f"{f['median'] * 1e3:.0f}", f"{f['min'] * 1e3:.0f}", f"{f['median'] / longer:.2f}"]
        for name, f in figures.items()
    ]
    contest.show("A training step", ["", "ms", "least", "/ longer of the two"], rows)
    if options.quick and options.out is None:
        return
    settings = {key: value for key, value in vars(options).items() if key not in ("slides", "out", "quick")}
    written = {
        "compared": "a training step to the longer of its reading and its computing, each held to one processor",
        "versions": contest.versions("ats-mag", "tensorflow", "keras"),
        "settings": settings | {"slides": "made" if options.slides is None else "given"},
        "seconds": figures,
        "step_to_longer": {str(parts): to_longer(taken, parts) for parts in PARTS},
    }
    print(contest.write("overlap", written, options.out))


if __name__ == "__main__":
    main()
