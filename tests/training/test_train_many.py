"""Folds over the workers of a Dask cluster: the same results as one after the other, whatever is killed meanwhile."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from command_line import WIDE, here
from made_results import make_run
from made_run import prepared, write_config  # noqa: F401

from ats_mag.config.reading import read_config
from ats_mag.runs.run import Run
from ats_mag.runs.seeds import with_seed
from ats_mag.training.fold_job import FoldOutcome
from ats_mag.training.many import train_many

pytestmark = pytest.mark.needs_tensorflow

# Steps of one slide are made of one part, and soon traced; a checkpoint after each of them.
SETTINGS = {"epochs": 2, "batch_size": 1, "checkpoint_minutes": 1e-4, "monitor": "val_loss", "deterministic": True}


def kfold(file, folds):
    """The configuration file, now of so many folds."""
    values = yaml.safe_load(file.read_text())
    values["splits"] = {"kind": "kfold", "folds": folds, "validation": 0.3}
    file.write_text(yaml.safe_dump(values))
    return file


@contextlib.contextmanager
def watch(true, then):
    """Meanwhile, does something as soon as something else is true."""
    end = threading.Event()

    def look():
        while not end.is_set():
            if true():
                then()
                return
            time.sleep(0.05)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield
    finally:
        end.set()
        watcher.join()


def cluster(**options):
    distributed = pytest.importorskip("distributed")
    return distributed.LocalCluster(dashboard_address=":0", silence_logs=50, **options)


@pytest.fixture
def threads(monkeypatch):
    """The address of a cluster of two workers in this process, which note the folds that they get and train nothing."""
    monkeypatch.setattr("ats_mag.system.dask_workers._POLL", 0.1)
    dask = pytest.importorskip("dask")
    with dask.config.set({"distributed.admin.log-length": 0}), cluster(n_workers=2, processes=False) as found:
        yield found.scheduler_address


def pretend(job):
    """In place of a training."""
    files = job.layout.fold(job.fold)
    if job.fold == 1:
        return FoldOutcome("slide s3 is broken", ())
    files.folder.mkdir(exist_ok=True)
    files.model.touch()
    return FoldOutcome(None, ("doubtful",))


def test_a_fold_that_fails_costs_the_others_nothing(threads, tmp_path, monkeypatch):
    monkeypatch.setattr("ats_mag.training.many.train_at_worker", pretend)
    config = make_run(tmp_path / "study", folds=3, measured=[])
    out, error = here("train", config, "--scheduler", threads, status=1, width=WIDE)
    for fold in (0, 2):
        assert re.search(rf"fold {fold}: at worker inproc://.*, see .*logs/fold-{fold}\.log", out)
        assert re.search(rf"wrote .*fold-{fold}/model\.keras", out)
        assert f"note: fold {fold}: doubtful" in error
    assert "failed: fold 1: slide s3 is broken" in error
    assert "error: 1 of 3 folds were not trained (1)" in error
    out, _ = here("train", config, "--scheduler", threads, "--folds", "2,0", width=WIDE)
    assert re.findall(r"fold (\d) is trained already", out) == ["2", "0"]
    assert "at worker" not in out
    _, error = here("train", config, "--scheduler", threads, "--folds", "1,3", status=1, width=WIDE)
    assert "the run has the folds 0 to 2. Received: 3" in error
    out, _ = here("cluster", "status", config, width=WIDE)
    assert [line.split() for line in out.splitlines()][1:] == [
        ["0", "trained", "0/50"],
        ["1", "waiting", "0/50"],
        ["2", "trained", "0/50"],
    ]


def test_runs_of_several_seeds_share_slides_and_division(threads, tmp_path, monkeypatch):
    monkeypatch.setattr("ats_mag.training.many.train_at_worker", pretend)
    config = read_config(make_run(tmp_path / "study", folds=2, measured=[]))
    runs = [Run.open(with_seed(config, seed)) for seed in (1, 2)]
    assert [run.config.run.name for run in runs] == ["run-seed-1", "run-seed-2"]
    assert {run.config.records for run in runs} == {config.records}
    assert runs[0].splits.equals(runs[1].splits)
    news = list(train_many([(run, 0) for run in runs], threads))
    assert [one.run.config.train.seed for one in news if one.status == "begun"] == [1, 2]
    assert {(one.run.config.train.seed, one.status) for one in news[2:]} == {(1, "trained"), (2, "trained")}
    assert [one.status for one in train_many([(run, 0) for run in runs], threads)] == ["kept", "kept"]
    with pytest.raises(ValueError, match=r"fold 1 of '.*run-seed-1' is to be trained twice at once"):
        list(train_many([(runs[0], 1), (runs[0], 1)], threads))
    together = config.model_copy(update={"train": config.train.model_copy(update={"devices": "cluster"})})
    with pytest.raises(ValueError, match=r"has train\.devices: cluster, for one training over several machines"):
        list(train_many([(replace(runs[0], config=together), 1)], threads))
    with pytest.raises(ValueError, match="the run has the folds 0 to 1"):
        list(train_many([(runs[0], 2)], threads))


def weights(run, fold):
    from ats_mag.model.saving import load_model

    return load_model(run / f"fold-{fold}" / "model.keras", compile=False).get_weights()


@pytest.mark.long
def test_five_folds_over_two_workers_one_killed_are_as_in_turn(prepared, tmp_path):  # noqa: F811
    """To the bit: the weights of every fold, and its history."""
    turn, over = (kfold(write_config(prepared, tmp_path / name, **SETTINGS), 5) for name in ("turn", "over"))
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "ats_mag.cli", "train"]
    subprocess.run([*command, str(turn)], env=environment, check=True, capture_output=True)
    run = tmp_path / "over"
    killed = []

    def interrupted():
        """A fold within an epoch."""
        found = [file.parents[1] for file in run.glob("fold-*/checkpoints/*-0000000[1-4].npz")]
        killed[:] = [fold for fold in found if not (fold / "model.keras").exists()]
        return killed

    def kill():
        said = (run / "logs" / f"{killed[0].name}.log").read_text()
        os.kill(int(re.findall(r"process (\d+) on", said)[-1]), signal.SIGKILL)

    with (
        cluster(n_workers=2, threads_per_worker=2) as found,
        watch(interrupted, kill),
    ):
        done = subprocess.run(
            [*command, str(over), "--scheduler", found.scheduler_address],
            env=environment, check=True, capture_output=True, text=True,
        )  # fmt: skip
    fold = killed[0].name.removeprefix("fold-")
    assert f"fold {fold}: worker tcp://" in done.stderr
    assert "was lost (it is gone); another goes on from the last checkpoint" in " ".join(done.stderr.split())
    assert "resumed from the checkpoint at epoch" in (run / "logs" / f"fold-{fold}.log").read_text()
    for k in range(5):
        histories = [(tmp_path / name / f"fold-{k}" / "history.csv").read_bytes() for name in ("turn", "over")]
        assert histories[0] == histories[1]
        for a, b in zip(weights(tmp_path / "turn", k), weights(run, k), strict=True):
            np.testing.assert_array_equal(a, b)
