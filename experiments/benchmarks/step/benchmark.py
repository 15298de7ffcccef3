"""One training step of attention-sampling's Megapixel-MNIST model: on this library and on attention-sampling 0.2.

    python -m experiments.benchmarks.step [--reference PYTHON] [--batch 32] [--quick] [--out FILE]

writes `experiments/results/step.json`. Both train the networks of attention-sampling's scripts/mnist.py (`networks.py` and
`reference/attention_sampling_02.py` of `experiments/megapixel`) with its defaults: images of 1500 x 1500 and 180 x 180, ten
patches of 50 x 50, Adam, entropy regulariser. A turn is one `model.train_on_batch` of the same NumPy arrays, feeding included.
Each contestant is a process of its own, held to as many processors as it has threads.
`experiments/megapixel/reference/__init__.py` says how to install attention-sampling 0.2; without it its row is absent.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from experiments.benchmarks import reference
from experiments.common import in_turns
from experiments.common.arguments import new_parser
from experiments.common.result_files import RESULTS, versions, write
from experiments.common.table import show
from experiments.common.worker import Worker

WIDTH, LOW_WIDTH = 1500, 180
SETTINGS = {"n_patches": 10, "patch_size": (50, 50)}
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3"}


def write_batch(folder: Path, batch: int) -> list[str]:
    """Paths of small images, large images and labels. Spots on black: what they show makes no difference to the time."""
    rng = np.random.default_rng(0)
    high = np.zeros((batch, WIDTH, WIDTH, 1), np.float32)
    for image in high:
        for row, column in rng.integers(0, WIDTH - 28, (55, 2)):  # five digits and fifty scribbles
            image[row : row + 28, column : column + 28] = rng.random((28, 28, 1), dtype=np.float32)
    nearest = ((np.arange(LOW_WIDTH) + 0.5) * WIDTH / LOW_WIDTH).astype(int)
    low = np.ascontiguousarray(high[:, nearest][:, :, nearest])
    label = np.eye(10, dtype=np.float32)[rng.integers(0, 10, batch)]
    paths = []
    for name, array in {"low": low, "high": high, "label": label}.items():
        np.save(folder / f"{name}.npy", array)
        paths.append(f"{folder}/{name}.npy")
    return paths


def compare(batch: int, threads: int, python: str | None, repeats: int) -> dict[str, Any]:
    """One size of batch."""
    workers = {
        name: Worker(
            "experiments.benchmarks.step.ours:Step",
            {"threads": threads, "jit_compile": jit, **SETTINGS},
            QUIET,
            threads,
        )
        for name, jit in {"ours": False, "ours, jit_compile": True}.items()
    }
    if python:
        workers[reference.NAME] = reference.start(python, "Step", threads, **SETTINGS)
    losses: dict[str, list[float]] = {name: [] for name in workers}

    def turn(name: str) -> in_turns.Taken:
        seconds, loss = workers[name]("turn")
        losses[name].append(loss)
        return in_turns.Taken(seconds)

    try:
        with tempfile.TemporaryDirectory() as folder:
            files = write_batch(Path(folder), batch)
            parameters = {name: worker("load", *files) for name, worker in workers.items()}
        assert len(set(parameters.values())) == 1, f"the models differ: {parameters}"
        taken = in_turns.seconds({name: lambda name=name: turn(name) for name in workers}, repeats)
    finally:
        for worker in workers.values():
            worker.close()
    rows: dict[str, Any] = {}
    for name, values in taken.items():
        rows[name] = {**in_turns.summary(values), "first_loss": losses[name][0], "last_loss": losses[name][-1]}
        if python:
            rows[name]["times_as_fast_as_reference"] = in_turns.ratio(values, taken[reference.NAME])
    return {"batch": batch, "threads": threads, "parameters": parameters["ours"], "seconds": rows}


def main() -> None:
    """Measures, prints and writes."""
    parser = new_parser("benchmarks.step", __doc__)
    reference.add_option(parser)
    parser.add_argument("--batch", type=int, nargs="+", default=[32, 128])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="a small batch; writes nothing but what --out names")
    parser.add_argument("--out", type=Path, help="file to write instead")
    arguments = parser.parse_args()
    batches, repeats = ([8], 3) if arguments.quick else (arguments.batch, 10)
    found = [compare(batch, arguments.threads, arguments.reference, repeats) for batch in batches]
    rows = [
        [
            f"batch {result['batch']}, {name}",
            f"{row['median']:.3f}",
            f"{row['times_as_fast_as_reference']:.2f}" if arguments.reference else "",
        ]
        for result in found
        for name, row in result["seconds"].items()
    ]
    show("one training step", ["", "seconds", f"times as fast as {reference.NAME}"], rows)
    if arguments.quick and arguments.out is None:
        return
    written = {
        "compared": "model.train_on_batch of the same NumPy arrays and networks, feeding included; turn by turn",
        "versions": versions("ats-mag", "tensorflow", "keras"),
        "reference_versions": "attention-sampling 0.2, TensorFlow 1.15.5, Keras 2.2.4",
        "images": WIDTH,
        **SETTINGS,
        "batches": found,
    }
    print(write(arguments.out or RESULTS / "step.json", written))
