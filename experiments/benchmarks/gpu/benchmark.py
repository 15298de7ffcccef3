"""What attention sampling costs on a GPU with JAX: its mathematics, and a training step that reads slide files.

    KERAS_BACKEND=jax python -m experiments.benchmarks.gpu [--slides FOLDER] [--quick] [--out FILE]

writes `experiments/results/gpu.json` where JAX has a GPU. TensorFlow is not needed. Two parts:

- `mathematics`: joint softmax, draw, expectation and both regularisers, forward and with the gradient by logits and
  features, 8 slides of 32 draws, against the lattice's size;
- `steps`: a training step of `SlideClassifier` with ResNet-50, 8 slides of 32 patches of 224 x 224, three ways in turns
  (see `steps.py`): reading from files, with the patches on the device already, and the two networks alone. The first
  two tell the share of the step that waits for reading, the last two what the step takes beside the networks.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # the contestants share the device

import jax
import jax.numpy as jnp
import numpy as np

import ats_mag
from experiments.common import in_turns
from experiments.common.arguments import new_parser
from experiments.common.result_files import RESULTS, versions, write
from experiments.common.table import show as show_table
from experiments.common.worker import Worker

BATCH, DRAWS, DIMENSION = 8, 32, 2048
LATTICES, QUICK_LATTICES = (32, 128, 512, 1024), (8, 16)
METHODS = ("sequential", "priority")
CALLS = 10  # per timing, as a single one is too short for the clock
POLICIES = ("float32", "mixed_bfloat16")
WAYS = ("Reading", "Resident", "Networks")
SIDE, QUICK_SIDE = 16384, 1024


def mathematics(lattices: Sequence[int], turns: int) -> list[dict[str, Any]]:
    """Seconds of one call by lattice and method."""
    rows = []
    for side in lattices:
        rng = np.random.default_rng(0)
        logits = jnp.asarray(rng.normal(size=(BATCH, side, side, 2)), "float32")
        features = jnp.asarray(rng.normal(size=(BATCH, DRAWS, DIMENSION)), "float32")
        noise = jnp.asarray(rng.uniform(1e-6, 1, size=(BATCH, side * side * 2)), "float32")
        calls = {}
        for method in METHODS:
            value = scalar(method)
            calls[method, "forward"] = repeated(jax.jit(value), logits, features, noise)
            calls[method, "with gradient"] = repeated(
                jax.jit(jax.value_and_grad(value, argnums=(0, 1))), logits, features, noise
            )
        seconds = in_turns.seconds({" ".join(key): call for key, call in calls.items()}, turns)
        found = {key: in_turns.summary(values) for key, values in seconds.items()}
        rows.append({"lattice": [side, side, 2], "seconds": found})
    return rows


def scalar(method: str) -> Callable[..., Any]:
    """A number that depends on everything between the networks."""
    softmax, expectation = ats_mag.JointSoftmax(), ats_mag.Expectation()
    regularizers = [ats_mag.PlaceEntropy(0.03), ats_mag.MagnificationEntropy(0.3)]

    def value(logits: jax.Array, features: jax.Array, noise: jax.Array) -> jax.Array:
        attention = softmax(logits)
        samples = ats_mag.sample(attention, DRAWS, method, noise=noise)
        phi = expectation([features, samples.weight])
        return (phi**2).sum() + sum(regularizer(attention) for regularizer in regularizers)

    return value


def repeated(call: Callable[..., Any], *arguments: Any) -> Callable[[], in_turns.Taken]:
    def run() -> in_turns.Taken:
        begun = time.perf_counter()
        results = [call(*arguments) for _ in range(CALLS)]
        jax.block_until_ready(results)
        return in_turns.Taken((time.perf_counter() - begun) / CALLS)

    return run


def steps(
    slides: Sequence[str], settings: dict[str, Any], policies: Sequence[str], turns: int
) -> Iterator[dict[str, Any]]:
    """One row per dtype policy. All ways go through `fit`, so that what Keras itself takes is in none of the shares."""
    for policy in policies:
        arguments = {"slides": list(slides), "policy": policy, **settings}
        workers: dict[str, Worker] = {}
        try:
            for way in WAYS:
                workers[way] = Worker(f"experiments.benchmarks.gpu.steps:{way}", arguments)
            seconds = in_turns.seconds({way: turn_of(worker) for way, worker in workers.items()}, turns)
            peaks = {way: worker("peak") for way, worker in workers.items()}
        finally:
            for worker in workers.values():
                worker.close()
        reading, resident, networks = (seconds[way] for way in WAYS)
        patches = len(slides) * settings["n_patches"]
        yield {
            "policy": policy,
            "seconds_per_step": {way: in_turns.summary(seconds[way]) for way in WAYS},
            "patches_per_second": patches / in_turns.summary(reading)["median"],
            "share_waiting_for_reading": 1 - in_turns.ratio(reading, resident),
            "share_beside_networks": 1 - in_turns.ratio(resident, networks),
            "peak_bytes": peaks,
        }


def turn_of(worker: Worker) -> Callable[[], in_turns.Taken]:
    return lambda: in_turns.Taken(worker("turn"))


def make_slides(folder: Path, side: int, n: int) -> list[str]:
    from experiments.benchmarks.giant_slides import (
        write_giant,  # which needs imagecodecs and scikit-image; a folder of slides does not
    )

    return [str(write_giant(folder / f"slide-{i}.tiff", side, seed=i)) for i in range(n)]


def show(found: dict[str, Any]) -> None:
    rows = [
        [" x ".join(map(str, row["lattice"])), *(f"{1e6 * s['median']:.0f}" for s in row["seconds"].values())]
        for row in found["mathematics"]
    ]
    show_table("The mathematics, us", ["lattice", *found["mathematics"][0]["seconds"]] if rows else ["lattice"], rows)
    rows = [
        [
            row["policy"],
            *(f"{1e3 * row['seconds_per_step'][way]['median']:.1f}" for way in WAYS),
            f"{row['patches_per_second']:.0f}",
            f"{row['share_waiting_for_reading']:.1%}",
            f"{row['share_beside_networks']:.1%}",
            *(f"{row['peak_bytes'][way] / 2**30:.1f}" if row["peak_bytes"][way] else "-" for way in WAYS[:1]),
        ]
        for row in found["steps"]
    ]
    head = ["policy", "reading, ms", "resident, ms", "networks, ms", "patches/s", "waits", "beside networks", "GiB"]
    show_table("A training step", head, rows)


def main() -> None:
    """Measures, prints and writes."""
    parser = new_parser("benchmarks.gpu", __doc__)
    parser.add_argument(
        "--slides", type=Path, help=f"folder of {BATCH} slides (default: made ones, see giant_slides.py)"
    )
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--steps", type=int, default=20, help="per turn")
    parser.add_argument("--quick", action="store_true", help="tiny sizes on any device; writes only with --out")
    parser.add_argument("--out", type=Path, help="result file (default: experiments/results/gpu.json, given a GPU)")
    options = parser.parse_args()
    settings: dict[str, Any] = {"network": "ResNet50", "patch_size": 224, "n_patches": DRAWS, "steps": options.steps}
    turns, batch, side, lattices, policies = options.turns, BATCH, SIDE, LATTICES, POLICIES
    if options.quick:
        settings = {"network": None, "patch_size": 32, "n_patches": 4, "steps": 2}
        turns, batch, side, lattices, policies = 2, 2, QUICK_SIDE, QUICK_LATTICES, POLICIES[1:]
    with tempfile.TemporaryDirectory() as temporary:
        if options.slides is None:
            slides = make_slides(Path(temporary), side, batch)
        else:
            slides = sorted(str(path) for path in options.slides.iterdir())[:batch]
        found = {
            "device": jax.devices()[0].device_kind,
            "versions": versions("jax", "jaxlib", "keras", "openslide-bin"),
            "settings": {**settings, "batch": batch, "turns": turns, "draws": DRAWS, "dimension": DIMENSION},
            "mathematics": mathematics(lattices, turns),
            "steps": list(steps(slides, settings, policies, turns)),
        }
    show(found)
    on_gpu = jax.default_backend() == "gpu"
    if options.out or (on_gpu and not options.quick):
        write(options.out or RESULTS / "gpu.json", found)
