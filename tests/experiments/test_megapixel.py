"""Megapixel MNIST's experiment, quick, on made images: what a run writes, and that it is not run again."""

import json
import subprocess
import sys

import numpy as np
import pytest

from data_prep import megapixel_mnist
from experiments.common.processes import environment
from experiments.megapixel.reference import training
from experiments.megapixel.reference.images import Images


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    out = tmp_path_factory.mktemp("megapixel")
    digits = np.random.default_rng(0).integers(1, 255, (60, 28, 28), np.uint8)
    labels = np.arange(60) % 10
    np.savez(out / "mnist.npz", x_train=digits, y_train=labels, x_test=digits, y_test=labels)
    megapixel_mnist.main(out / "mnist.npz", out, train=16, test=6, side=140, scale=0.2, noise=False, seed=0)
    return out


def run(*arguments):
    command = [sys.executable, "-m", "experiments.megapixel", *map(str, arguments), "--quick"]
    wide = {**environment(), "COLUMNS": "500"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=wide)


def run_sequential(images, out, *more):
    options = ["--batch", 8, "--patch-size", 16, "--threads", 1, "--tests-per-epoch", 2, "--only", "sequential"]
    return run(images, *options, "--out", out, *more)


@pytest.mark.long
@pytest.mark.needs_tensorflow
def test_a_quick_run(images, tmp_path):
    ended = run_sequential(images, tmp_path)
    assert ended.returncode == 0, ended.stderr
    found = json.loads((tmp_path / "sequential-seed0.json").read_text())
    assert found["configuration"]["images"]["train"]["n"] == 16
    assert found["versions"]["keras"]
    assert [test["epoch"] for test in found["tests"]] == [0.5, 1.0]
    assert all(0 <= test["test_error"] <= 1 and 0 < test["attention_on_digits"] < 1 for test in found["tests"])

    again = run_sequential(images, tmp_path)
    assert (again.returncode, again.stdout) == (0, "")
    other = run_sequential(images, tmp_path, "--learning-rate", "0.5")
    assert other.returncode == 1
    assert "sequential-seed0.json" in other.stderr
    assert "learning_rate: 0.001 there, 0.5 asked for" in other.stderr
    assert "Remove it" in other.stderr


def test_quick_results_are_not_kept_among_the_measured(images):
    ended = run(images)
    assert ended.returncode == 2
    assert "measures nothing worth keeping" in ended.stderr


class Guess:
    """Counts its steps and always says class 3."""

    steps = 0

    def step(self, x, y):
        self.steps += 1
        return float(self.steps)

    def predict(self, x):
        low = x[0]
        return np.eye(10)[np.full(len(low), 3)], np.full(low.shape[:3], 1 / low[0].size)


def test_tests_are_evenly_spaced_and_their_losses_since_the_last(images):
    data = Images(images / "train.npz"), Images(images / "test.npz", most=4)
    found = list(training.train(Guess(), *data, epochs=2, batch=4, seed=0, tests_per_epoch=2))
    assert [test["epoch"] for test in found] == [0.5, 1.0, 1.5, 2.0]
    assert [test["loss"] for test in found] == [1.5, 3.5, 5.5, 7.5]
    assert found[0]["test_error"] == np.mean(data[1].label != 3)
    assert found[0]["processor_seconds"] <= found[1]["processor_seconds"]
