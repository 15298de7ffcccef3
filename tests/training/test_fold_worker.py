"""What a worker does with a fold, without training: the process that would is another one here."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest
from made_results import make_run

from ats_mag.config.reading import read_config
from ats_mag.runs.run import Run
from ats_mag.system.dask_workers import WorkDied
from ats_mag.system.lock import held_lock
from ats_mag.training import fold_worker
from ats_mag.training.fold_job import FoldJob, FoldOutcome
from ats_mag.training.fold_states import FoldState, fold_state
from ats_mag.training.fold_worker import train_at_worker

pytestmark = pytest.mark.needs_tensorflow


@pytest.fixture
def run(tmp_path):
    return Run.open(read_config(make_run(tmp_path / "study", folds=2, measured=[])))


@pytest.fixture
def process(monkeypatch):
    """`process(code)`: what runs instead of a training; it has the job as `asked`."""

    def set_code(code):
        text = f"import json, os, signal, sys, time\nasked = json.load(sys.stdin)\n{code}"
        monkeypatch.setattr(fold_worker, "_COMMAND", (sys.executable, "-c", text))
        monkeypatch.setattr(fold_worker, "_POLL", 0.05)

    return set_code


def test_the_job_goes_there_and_the_outcome_comes_back(run, process):
    process("""
print("epoch 1/1", file=sys.stderr)
json.dump({"error": None, "notes": [asked["config"], str(asked["fold"])]}, sys.stdout)
""")
    job = FoldJob.of(run, 1)
    assert train_at_worker(job) == FoldOutcome(None, (job.config, "1"))
    assert job.settings() == run.config.model_copy(update={"prepare": job.settings().prepare})
    assert job.settings().run.is_absolute()
    train_at_worker(job)
    log = run.layout.log(1).read_text()
    assert len(re.findall(rf"(?m)^--- \d{{4}}-.*, fold 1, process {os.getpid()} on .*\nepoch 1/1\n", log)) == 2
    assert not run.layout.is_trained  # a log is no training
    process('json.dump({"error": "slide s3 is broken", "notes": ["doubtful"]}, sys.stdout)')
    assert train_at_worker(job) == FoldOutcome("slide s3 is broken", ("doubtful",))


def test_a_process_that_dies_is_told_from_a_run_that_is_wrong(run, process):
    process("os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(WorkDied, match=rf"died \(signal 9: Killed\), see {re.escape(str(run.layout.log(0)))}"):
        train_at_worker(FoldJob.of(run, 0))
    process("sys.exit(3)")
    with pytest.raises(WorkDied, match="exit status 3"):
        train_at_worker(FoldJob.of(run, 0))


def test_a_process_ends_when_nobody_waits_for_it(run, process, tmp_path, monkeypatch):
    process(f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)")
    monkeypatch.setattr(fold_worker, "taken_back", lambda: (tmp_path / "pid").exists())
    assert train_at_worker(FoldJob.of(run, 0)).error == "it was taken back"
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text() or "-1"), 0)
    assert "nobody waits for it any more" in run.layout.log(0).read_text()


def test_a_worker_waits_for_the_fold_s_last_process_to_end(run, process):
    process('json.dump({"error": None, "notes": []}, sys.stdout)')
    done = []
    with held_lock(run.layout.fold(0).lock, "held"):
        worker = threading.Thread(target=lambda: done.append(train_at_worker(FoldJob.of(run, 0))))
        worker.start()
        time.sleep(0.3)
        assert not run.layout.log(0).exists()
    worker.join(30)
    assert done == [FoldOutcome()]


def test_a_place_that_is_another_is_refused(run, monkeypatch):
    monkeypatch.setattr(fold_worker, "_SECONDS_UNSEEN", 0.0)
    job = FoldJob.of(run, 0)
    assert dict(job.versions).keys() == {"ats_mag", "tensorflow", "keras"}
    versions = tuple((name, "0.9" if name == "keras" else version) for name, version in job.versions)
    with pytest.raises(RuntimeError, match=r"others than where .* \(keras .* here, 0\.9 there\): install the same"):
        train_at_worker(replace(job, versions=versions))
    with pytest.raises(RuntimeError, match=r"run's folder '.*' is another one on this machine: it must be the same"):
        train_at_worker(replace(job, identity=("another day", job.identity[1])))
    run.layout.run.unlink()
    with pytest.raises(RuntimeError, match="is not there on this machine"):
        train_at_worker(job)


PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", '''
import time
from ats_mag.system.processes import end_with_parent
end_with_parent()
print("begun", flush=True)
time.sleep(600)
'''], stdout=subprocess.PIPE, text=True)
child.stdout.readline()
print(child.pid, flush=True)
child.wait()
"""


def test_a_training_ends_with_its_worker():
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline())
        os.kill(child, 0)
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 20
    while _runs(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _runs(child)


def _runs(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_how_far_a_fold_is_shows_in_its_files(run):
    files = run.layout.fold(0)
    assert fold_state(run, 0) == FoldState(0, "waiting", 0)
    with held_lock(files.lock, "held"):
        found = fold_state(run, 0)
        assert (found.status, found.holder.split(" on ")[0]) == ("training", f"process {os.getpid()}")
    files.checkpoints.mkdir(parents=True)
    assert fold_state(run, 0).status == "waiting"  # nothing that a training could go on from
    (files.checkpoints / "000001-00000000.npz").touch()
    files.history.write_text("epoch,loss\n0,1.0\n1,0.5\n")
    assert fold_state(run, 0) == FoldState(0, "interrupted", 2)
    files.model.touch()
    assert fold_state(run, 0) == FoldState(0, "trained", 2)
    files.metrics.write_text(json.dumps({}))
    assert fold_state(run, 0) == FoldState(0, "measured", 2)
