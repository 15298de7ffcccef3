"""What a worker of a cluster does with a fold: it has a process of its own train it, and ends that when nobody waits any more.

A process of its own has the memory of a training to itself, keeps the worker answering while TensorFlow computes, and has
settings, which TensorFlow keeps for a whole process, of this training alone.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

import ats_mag
from ats_mag.system.dask_workers import WorkDied, taken_back
from ats_mag.system.lock import holder_of
from ats_mag.system.processes import how_it_ended
from ats_mag.training.fold_job import FoldJob, FoldOutcome

_COMMAND = (sys.executable, "-m", "ats_mag.training.fold_process")
_POLL = 0.5  # seconds between looks at whether somebody still waits
_SECONDS_HELD = 120.0  # that a fold's last process may take to end, after its worker was lost
_SECONDS_UNSEEN = 30.0  # that a file may take to appear on another machine


def train_at_worker(job: FoldJob) -> FoldOutcome:
    """Trains a fold; what is wrong with the run comes back as a value.

    Raises:
        RuntimeError: this worker cannot train it, see `FoldJob.check_place`.
        WorkDied: the process that trained it died.
    """
    _wait(lambda: job.layout.run.exists(), _SECONDS_UNSEEN)
    job.check_place()
    lock = job.layout.fold(job.fold).lock
    _wait(lambda: holder_of(lock) is None, _SECONDS_HELD)
    with _log(job) as log, _process(log) as process:
        asked = json.dumps(asdict(job)).encode()
        while True:
            try:
                answer, _ = process.communicate(asked, timeout=_POLL)
                break
            except subprocess.TimeoutExpired:
                asked = b""  # `communicate` goes on with what it was given first
                if taken_back():
                    log.write(
                        b"ended: nobody waits for it any more; the same command goes on from its last checkpoint\n"
                    )
                    return FoldOutcome(error="it was taken back")
    try:
        found = json.loads(answer)
    except ValueError as error:
        raise WorkDied(
            f"the process that trained it died ({how_it_ended(process.returncode)}), see {job.log}"
        ) from error
    return FoldOutcome(found["error"], tuple(found["notes"]))


def _wait(true: Callable[[], bool], seconds: float) -> None:
    """Waits until something is true, but not for ever."""
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end and not taken_back():
        time.sleep(_POLL)


@contextlib.contextmanager
def _log(job: FoldJob) -> Iterator[BinaryIO]:
    """The fold's log, open to be added to."""
    job.log.parent.mkdir(exist_ok=True)
    with open(job.log, "ab", buffering=0) as log:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        log.write(f"--- {now}, fold {job.fold}, process {os.getpid()} on {socket.gethostname()}\n".encode())
        yield log


@contextlib.contextmanager
def _process(log: BinaryIO) -> Iterator[subprocess.Popen[bytes]]:
    """A process that trains, which ends with this block."""
    here = str(Path(ats_mag.__file__).parents[1])  # the same package there
    path = os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])
    process = subprocess.Popen(
        _COMMAND,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        env={"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ, "PYTHONPATH": path},
        start_new_session=True,  # Ctrl-C is for the worker, with which it ends
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
