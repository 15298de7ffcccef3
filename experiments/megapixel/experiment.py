r"""Megapixel MNIST: every estimator of ours, the attention gradient of attention-sampling 0.2 in our code, and 0.2 itself.

    python -m data_prep.megapixel_mnist mnist.npz runs/megapixel-200 --side 200 --scale 0.2 --no-noise --test 500
    python -m experiments.megapixel runs/megapixel-200 --epochs 5 --tests-per-epoch 3 --batch 16 --patch-size 28 \
        --learning-rate 0.002 --threads 1 --reference ENV/bin/python

is what `experiments/results/megapixel/` was measured with: images small enough for a single core to train all of them. Without
these options the patches and the learning rate are the defaults of attention-sampling's `scripts/mnist.py`.

All contestants have the networks of that script (Adam with clipped gradients, entropy 1e-4), the same images in the same
order, and as many epochs. Each run writes `METHOD-seedK.json`, in a process of its own, and one that is there is not run again.
`experiments/megapixel/reference/__init__.py` says how to install 0.2; without `--reference` it is left out.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from experiments.common.processes import environment
from experiments.common.quick import check_names, check_out
from experiments.common.result_files import RESULTS, kept
from experiments.megapixel.results import METHODS, REFERENCE

OUT = RESULTS / "megapixel"
TRAIN_02 = Path(__file__).parent / "reference" / "train_02.py"
QUICK_IMAGES = 64


def path_of(method: str, seed: int, out: Path = OUT) -> Path:
    """The result file of a run."""
    return out / f"{method.replace(' ', '-')}-seed{seed}.json"


def lines(command: list[str], variables: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """What another process prints as JSON, a line each.

    Args:
        command: program and arguments.
        variables: its environment.

    Raises:
        RuntimeError: it ended with another status than 0; with the end of what it said.
    """
    quiet = {**variables, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore"}
    with tempfile.TemporaryFile("w+") as said:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True, env=quiet) as process:
            for line in process.stdout or ():
                if line.startswith("{"):
                    yield json.loads(line)
        if process.returncode:
            said.seek(0)
            raise RuntimeError(
                f"{' '.join(command[1:3])} ended with status {process.returncode}: {said.read()[-2000:]}"
            )


def measure(configuration: Mapping[str, Any], folder: Path, reference: Path | None) -> dict[str, Any]:
    """One run, in a process of its own, as a process sets the threads of TensorFlow once."""
    program, variables = [sys.executable, "-m", "experiments.megapixel.ours"], environment()
    if configuration["method"] == REFERENCE:  # an environment whose packages are its own
        program, variables = [str(reference), str(TRAIN_02)], {**variables, "PYTHONPATH": ""}
    found: dict[str, Any] = {"tests": []}
    for line in lines([*program, str(folder), json.dumps(configuration)], variables):
        if "epoch" not in line:
            found |= line
            continue
        found["tests"].append(line)
        measures = ", ".join(f"{name} {value:.3f}" for name, value in line.items())
        print(f"{configuration['method']}, seed {configuration['seed']}: {measures}", flush=True)
    return found


def images_of(folder: Path) -> dict[str, Any]:
    """How the images of a folder were made.

    Raises:
        FileNotFoundError: it has none.
    """
    found = {}
    for name in ("train", "test"):
        path = folder / f"{name}.npz"
        if not path.exists():
            raise FileNotFoundError(f"{str(path)!r} does not exist: make it with data_prep.megapixel_mnist")
        with np.load(path) as data:
            found[name] = json.loads(str(data["settings"]))
    return found


def main(
    images: Annotated[Path, typer.Argument(help="Folder made by data_prep.megapixel_mnist.")],
    seeds: Annotated[int, typer.Option(min=1, help="Seeds 0, 1, ...")] = 3,
    only: Annotated[list[str] | None, typer.Option(help="Methods to run. [default: all]")] = None,
    epochs: Annotated[int, typer.Option(min=1)] = 10,
    tests_per_epoch: Annotated[int, typer.Option(min=1)] = 1,
    batch: Annotated[int, typer.Option(min=1)] = 32,
    n_patches: Annotated[int, typer.Option(min=1, help="Per image.")] = 10,
    patch_size: Annotated[int, typer.Option(min=14, help="Pixels.")] = 50,
    learning_rate: Annotated[float, typer.Option(min=0, help="Of Adam.")] = 1e-3,
    threads: Annotated[int, typer.Option(min=1, help="Of TensorFlow.")] = 2,
    reference: Annotated[Path | None, typer.Option(help=f"Interpreter of the environment of {REFERENCE}.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = OUT,
    quick: Annotated[
        bool, typer.Option("--quick", help=f"One seed, one epoch, {QUICK_IMAGES} images; choose another --out.")
    ] = False,
) -> None:
    """Runs what has no result yet."""
    check_names(only, METHODS)
    check_out(quick, out, OUT)
    shared = {
        "images": images_of(images), "most_images": QUICK_IMAGES if quick else None,
        "epochs": 1 if quick else epochs, "tests_per_epoch": tests_per_epoch, "batch": batch,
        "n_patches": n_patches, "patch_size": patch_size, "learning_rate": learning_rate, "clipped": "norm of all gradients to 1", "threads": threads,
    }  # fmt: skip
    for seed in range(1 if quick else seeds):
        for method in only or METHODS:
            if method == REFERENCE and reference is None:
                continue
            configuration = {"method": method, "seed": seed, **shared}
            kept(path_of(method, seed, out), configuration, partial(measure, configuration, images, reference))
