"""How much of the reading hides behind computing: a training step, its reading alone and its computing alone.

    python -m experiments.benchmarks.overlap --slides FOLDER [--quick] [--out FILE]

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
from itertools import cycle
from pathlib import Path

# A small cache of tiles: each contestant is to decode what it reads.
os.environ["ATS_MAG_THREADS"] = "1"
os.environ["ATS_MAG_CACHE_BYTES"] = str(16 << 20)

import keras
import numpy as np
import tensorflow as tf

from ats_mag.layers.read_slide_patches import ReadSlidePatches
from ats_mag.model.built_in_networks import attention_network, feature_network
from ats_mag.model.classifier import SlideClassifier
from ats_mag.model.slide_inputs import slide_inputs
from ats_mag.slides.writing.pyramid import write_pyramid
from ats_mag.tensors import Index, Labels, Tensor
from experiments.benchmarks.overlap.readers import PROCESSORS, ElsewhereReader, HeldPatches
from experiments.common import in_turns
from experiments.common.arguments import new_parser
from experiments.common.result_files import RESULTS, versions, write
from experiments.common.table import show

PARTS = (1, 2, 4, 8)
OVERVIEW_MPP, STRIDE, CLASSES = 16.0, 8, 2


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


def build(reader: ReadSlidePatches, options: argparse.Namespace, parts: int) -> SlideClassifier:
    """A compiled model that reads through `reader`, in so many parts a step."""
    keras.utils.set_random_seed(0)
    small = options.patch_size // options.pool
    feature = keras.Sequential(
        [
            keras.Input((options.patch_size, options.patch_size, 3)),
            keras.layers.AveragePooling2D(options.pool),
            feature_network(small, filters=options.filters),
        ]
    )
    model = SlideClassifier(
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
    model.reader = reader
    model.compile(keras.optimizers.Adam(1e-4), jit_compile=False)
    return model


def contestants(
    batches: list[tuple[dict[str, Tensor], Labels]], options: argparse.Namespace
) -> dict[str, Callable[[], object]]:
    """Each takes one step on the batch that is its turn."""

    def steps(model: SlideClassifier) -> Callable[[], object]:
        turns = cycle(batches)
        return lambda: model.train_on_batch(*next(turns))

    model = build(ElsewhereReader(options.patch_size), options, 1)
    read = tf.function(model.read)

    def draws() -> Iterator[tuple[dict[str, Tensor], Index]]:
        attentions = [model.attend(inputs) for inputs, _ in batches]
        for (inputs, _), attention in cycle(list(zip(batches, attentions, strict=True))):
            yield inputs, model.draw(attention, training=True).index

    drawn = draws()
    found: dict[str, Callable[[], object]] = {"reading": lambda: read(*next(drawn))[1].numpy()}
    held, _ = read(*next(drawn))
    for parts in PARTS:
        found[f"computing, {parts} parts"] = steps(build(HeldPatches(held), options, parts))
        found[f"step, {parts} parts"] = steps(build(ElsewhereReader(options.patch_size), options, parts))
    return found


def to_longer(taken: dict[str, list[float]], parts: int) -> float:
    """Step time to the longer of reading and computing, each turn against its neighbours: other load comes and goes."""
    turns = zip(taken[f"step, {parts} parts"], taken["reading"], taken["computing, 1 parts"], strict=True)
    return statistics.median(step / max(reading, computing) for step, reading, computing in turns)


def main() -> None:
    """Measures, prints and writes."""
    parser = new_parser("benchmarks.overlap", __doc__)
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
        taken = in_turns.seconds(contestants(batches, options), options.repeats)

    figures = {name: in_turns.summary(values) for name, values in taken.items()}
    longer = max(figures["reading"]["median"], figures["computing, 1 parts"]["median"])
    rows = [
        [name, f"{f['median'] * 1e3:.0f}", f"{f['min'] * 1e3:.0f}", f"{f['median'] / longer:.2f}"]
        for name, f in figures.items()
    ]
    show("A training step", ["", "ms", "least", "/ longer of the two"], rows)
    if options.quick and options.out is None:
        return
    settings = {key: value for key, value in vars(options).items() if key not in ("slides", "out", "quick")}
    written = {
        "compared": "a training step to the longer of its reading and its computing, each held to one processor",
        "versions": versions("ats-mag", "tensorflow", "keras"),
        "settings": settings | {"slides": "made" if options.slides is None else "given"},
        "seconds": figures,
        "step_to_longer": {str(parts): to_longer(taken, parts) for parts in PARTS},
    }
    print(write(options.out or RESULTS / "overlap.json", written))
