"""Kills a training again and again, and compares what it ends with: `train_kills.py KILLS [SEED]` (20 by default).

A cohort is made, trained once without interruption, and once while its process is killed (SIGKILL) at random moments
after it has begun to train; it must end with the same weights and history, every slide read once per epoch.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))

from made_run import prepare_slides, write_config, write_slides  # noqa: E402

CHANGES = {"stain": 0.1, "brightness": 0.05, "contrast": 0.1}
# A checkpoint after most batches, gradients half accumulated, and everything else that has a state.
SETTINGS = {
    "epochs": 4, "batch_size": 2, "checkpoint_minutes": 1e-4, "accumulate": 3, "clip_norm": 1.0, "schedule": "cosine",
    "warmup": 0.2, "monitor": "val_loss", "augment": CHANGES, "deterministic": True,
}  # fmt: skip


def start(config, *options):
    """A worker on a configuration, in a session of its own."""
    path = os.pathsep.join([str(TESTS.parent), str(TESTS), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, str(TESTS / "kill" / "train_worker.py"), str(config), *options]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finish(process):
    """Waits for a worker that nobody kills."""
    _, error = process.communicate()
    if process.returncode:
        raise RuntimeError(error.decode())


def train_killed(config, run, kills, chance, *options):
    """Trains with so many kills, by a worker with these options; how many of them met a training that went on."""
    met = 0
    for _ in range(kills):
        process, before = start(config, *options), lines(run)
        wanted = before + chance.randrange(3)  # batches after which to be killed, then a moment more
        while lines(run) <= wanted and process.poll() is None:
            time.sleep(0.01)
        time.sleep(chance.random() * 0.3)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        met += not (run / "weights.npz").exists()
    finish(start(config, *options))
    return met


def lines(run):
    """Steps that were noted."""
    file = run / "seen.csv"
    return file.read_bytes().count(b"\n") if file.exists() else 0


def compare(one, other, slides):
    """Raises an AssertionError where two runs differ, or one did not read every slide once per epoch."""
    with np.load(one / "weights.npz") as a, np.load(other / "weights.npz") as b:
        for name in a.files:
            np.testing.assert_array_equal(a[name], b[name])
    assert (one / "fold-0" / "history.csv").read_bytes() == (other / "fold-0" / "history.csv").read_bytes()
    plans = []
    for run in (one, other):
        table = pd.read_csv(run / "seen.csv", names=["epoch", "batch", "slides"])
        table = table.drop_duplicates()  # a step that was replayed, with the same slides
        assert not table.duplicated(["epoch", "batch"]).any(), "a replayed step read other slides"
        for _, epoch in table.groupby("epoch"):
            assert sorted(";".join(epoch["slides"]).split(";")) == sorted(slides)
        plans.append(table.sort_values(["epoch", "batch"]).to_numpy().tolist())
    assert plans[0] == plans[1]


def main(kills=20, seed=0):
    folder = Path(tempfile.mkdtemp())
    try:
        write_slides(folder)
        prepare_slides(folder)
        settings = SETTINGS | {"epochs": max(4, kills)}
        configs = {name: write_config(folder, folder / name, **settings) for name in ("whole", "killed")}
        finish(start(configs["whole"]))
        met = train_killed(configs["killed"], folder / "killed", kills, random.Random(seed))
        compare(folder / "whole", folder / "killed", [f"s{i}" for i in range(7)])
        print(f"{kills} kills, {met} of them before the end of training: the same weights, history and slides")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
