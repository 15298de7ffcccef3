"""Megapixel MNIST: every estimator of ours, the attention gradient of attention-sampling 0.2 in our code, and 0.2 itself.

    python data_prep/megapixel_mnist.py mnist.npz runs/megapixel --side 500 --scale 0.2 --no-noise
    python experiments/megapixel.py runs/megapixel --seeds 3 --reference ENV/bin/python

All contestants have the networks of attention-sampling's `scripts/mnist.py` with its defaults (ten patches of 50 x 50, Adam 1e-3
with clipped gradients, entropy 1e-4), the same images in the same order, and as many epochs. Each run writes
`experiments/results/megapixel/METHOD-seedK.json`, and one that is there is not run again. `benchmarks/reference.py` says how
to install 0.2; without `--reference` it is left out.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "reference"), str(HERE / "benchmarks")]

REFERENCE = "attention-sampling 0.2"
GRADIENT = "gradient of 0.2"
METHODS = ("sequential", "priority", "replacement", GRADIENT)


class Contestant:
    """Ours, see `megapixel_run.train`."""

    def __init__(self, method: str, low_side: int, side: int, n_patches: int, patch_size: int, seed: int) -> None:
        import keras
        from gradient_02 import SamplePatches02
        from megapixel import mnist_networks

        import ats_mag

        keras.utils.set_random_seed(seed)
        low, high = (low_side, low_side, 1), (side, side, 1)
        attention, feature = mnist_networks(low, high, (patch_size, patch_size))
        x_low, x_high = keras.Input(low), keras.Input(high)
        map_ = attention(x_low)
        regularized = ats_mag.RegularizeAttention(ats_mag.MultinomialEntropy(1e-4))(map_)
        kind, name = (SamplePatches02, "sequential") if method == GRADIENT else (ats_mag.SamplePatches, method)
        sampler = kind(n_patches, (patch_size, patch_size), name, seed=seed)
        patches, weight, _ = sampler([x_low, x_high, regularized])
        features = keras.ops.reshape(patches, (-1, patch_size, patch_size, 1))
        features = keras.ops.reshape(feature(features), (-1, n_patches, 32))
        probabilities = keras.layers.Dense(10, activation="softmax")(ats_mag.Expectation()([features, weight]))
        self._model = keras.Model([x_low, x_high], probabilities)
        self._model.compile(keras.optimizers.Adam(1e-3, clipnorm=1), "categorical_crossentropy")
        self._inspected = keras.Model([x_low, x_high], [probabilities, map_])

    def step(self, x: Any, y: Any) -> float:
        self._model.reset_metrics()  # else the loss is a mean over steps
        return self._model.train_on_batch(x, y)

    def predict(self, x: Any) -> Any:
        probabilities, attention = self._inspected.predict_on_batch(x)
        return probabilities, attention.reshape(attention.shape[:3])


def ours(method: str, settings: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Epochs of one of our methods."""
    import tensorflow as tf
    from megapixel_images import Images
    from megapixel_run import train

    tf.config.threading.set_intra_op_parallelism_threads(settings["threads"])
    tf.config.threading.set_inter_op_parallelism_threads(settings["threads"])
    images, tests = (Images(f"{settings['images']}/{name}.npz") for name in ("train", "test"))
    sides = images.low_side, images.side
    contestant = Contestant(method, *sides, settings["n_patches"], settings["patch_size"], settings["seed"])
    return train(contestant, images, tests, settings["epochs"], settings["batch"], settings["seed"])


def elsewhere(command: list[str]) -> Iterator[dict[str, Any]]:
    """Epochs that another process prints, a line each."""
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore", "PYTHONPATH": ""}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=quiet) as process:
        for line in process.stdout or ():
            if line.startswith("{"):
                yield json.loads(line)
    if process.returncode:
        sys.exit(f"{' '.join(command[:2])} ended with status {process.returncode}")


def main(
    images: Annotated[Path, typer.Argument(help="Folder made by data_prep/megapixel_mnist.py.")],
    seeds: Annotated[int, typer.Option(min=1, help="Seeds 0, 1, ...")] = 3,
    epochs: Annotated[int, typer.Option(min=1)] = 10,
    batch: Annotated[int, typer.Option(min=1)] = 32,
    threads: Annotated[int, typer.Option(min=1, help="Of TensorFlow.")] = 2,
    reference: Annotated[Path | None, typer.Option(help=f"Interpreter of the environment of {REFERENCE}.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = HERE / "results" / "megapixel",
    quick: Annotated[bool, typer.Option("--quick", help="One seed and one epoch; choose another --out.")] = False,
    one: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Runs what has no result yet."""
    if one is not None:
        for epoch in ours(one, json.loads(os.environ["MEGAPIXEL"])):
            print(json.dumps(epoch), flush=True)
        return
    out.mkdir(parents=True, exist_ok=True)
    for seed in range(1 if quick else seeds):
        for method in (*METHODS, *([REFERENCE] if reference else [])):
            settings = {
                "images": str(images), "epochs": 1 if quick else epochs, "batch": batch, "threads": threads,
                "n_patches": 10, "patch_size": 50, "seed": seed,
            }  # fmt: skip
            result = out / f"{method.replace(' ', '-')}-seed{seed}.json"
            if result.exists():
                continue
            if method == REFERENCE:
                command = [str(reference), str(HERE / "reference" / "megapixel_02.py"), json.dumps(settings)]
            else:  # a process of its own, as the threads of TensorFlow are set once
                os.environ["MEGAPIXEL"] = json.dumps(settings)
                command = [sys.executable, __file__, str(images), "--one", method]
            found = []
            for epoch in elsewhere(command):
                found.append(epoch)
                print(f"{method}, seed {seed}: {epoch}", flush=True)
            report = {"experiment": "megapixel", "method": method, "cpus": os.cpu_count(), **settings, "trained": found}
            report.pop("images")
            result.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    typer.run(main)
