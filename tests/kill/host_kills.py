"""Kills processes of a training in two processes, and compares what it ends with: `host_kills.py KILLS [SEED]` (10 by default).

A cohort is made and trained once without interruption, and once while one of its two processes, drawn at random, is killed (SIGKILL)
or, every third time, stopped (SIGSTOP) at a random moment. The other must end by itself within the bound and name the one that was
lost; at the end weights and history must be the same to the bit.
"""

import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))

from kill.host_processes import SILENCE, free_addresses, start, train  # noqa: E402
from made_run import prepare_slides, write_config, write_slides  # noqa: E402

SETTINGS = {
    "epochs": 6, "batch_size": 4, "checkpoint_minutes": 1e-4, "accumulate": 3, "clip_norm": 1.0, "schedule": "cosine",
    "warmup": 0.2, "monitor": "val_loss", "augment": {"stain": 0.1, "brightness": 0.05}, "deterministic": True,
}  # fmt: skip
GRACE = 20  # seconds beyond the silence: for the process to notice, to let TensorFlow end, and to be given time by a busy machine


def begun(run):
    """Batches that were trained so far."""
    file = run / "seen-0.csv"
    return file.read_bytes().count(b"\n") if file.exists() else 0


def lose_one(config, chance, how):
    """Trains, has one of two processes be lost after a while, and says how long the other took to end; None: it was too late."""
    addresses, run = free_addresses(2), config.with_suffix("")
    processes = [start(addresses, k, config) for k in range(2)]
    wanted = begun(run) + chance.randrange(3)
    while begun(run) <= wanted and all(process.poll() is None for process in processes):
        time.sleep(0.01)
    time.sleep(chance.random())
    k = chance.randrange(2)
    if any(process.poll() is not None for process in processes):
        for process in processes:
            process.communicate()
        return None
    processes[k].send_signal(how)
    lost, other = time.monotonic(), processes[1 - k]
    try:
        _, error = other.communicate(timeout=SILENCE + GRACE)
    except subprocess.TimeoutExpired:
        other.kill()
        raise AssertionError(f"{how.name} of process {k}: the other still runs after {SILENCE + GRACE} s") from None
    finally:
        processes[k].kill()
        processes[k].communicate()
    seconds = time.monotonic() - lost
    assert other.returncode, "a training went on without one of its processes"
    assert f"host {k} ({addresses.split(',')[k]})" in error.decode(), error.decode()
    return seconds


def compare(one, other):
    with np.load(one / "weights-0.npz") as a, np.load(other / "weights-0.npz") as b:
        for name in a.files:
            np.testing.assert_array_equal(a[name], b[name])
    assert (one / "fold-0" / "history.csv").read_bytes() == (other / "fold-0" / "history.csv").read_bytes()


def kill_again_and_again(folder, kills, chance):
    """The seconds that each loss took to be noticed."""
    settings = SETTINGS | {"epochs": max(4, 2 * kills)}
    whole, killed = (write_config(folder, folder / name, **settings) for name in ("whole", "killed"))
    train(2, whole)
    ways = [signal.SIGSTOP if i % 3 == 2 else signal.SIGKILL for i in range(kills)]
    found = [(how.name, lose_one(killed, chance, how)) for how in ways]
    train(2, killed)
    compare(folder / "whole", folder / "killed")
    return found


def main(kills=10, seed=0):
    folder = Path(tempfile.mkdtemp())
    try:
        write_slides(folder)
        prepare_slides(folder)
        found = kill_again_and_again(folder, kills, random.Random(seed))
        for name in ("SIGKILL", "SIGSTOP"):
            seconds = [s for how, s in found if how == name and s is not None]
            if seconds:
                print(
                    f"{name}: {len(seconds)} met a training that went on; the other process ended within {max(seconds):.1f} s"
                )
        print("the same weights and history to the bit")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
