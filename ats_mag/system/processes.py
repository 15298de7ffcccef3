"""Work over processes of this machine, each of which may die or hang without the others noticing.

`concurrent.futures` ends everything when one process dies and cannot say which task killed it; here every process has a
pipe of its own and at most one job.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

from ats_mag.system.open_files import limit_behind

Job = TypeVar("Job")
Result = TypeVar("Result")

_LOST_STARTS = 3  # processes in a row that ended before they could take a job: more, and no job is to blame
_PR_SET_PDEATHSIG = 1  # of Linux' <sys/prctl.h>


def run_in_processes(
    work: Callable[[Job], Result],
    jobs: Sequence[Job],
    workers: int,
    failed: Callable[[Job, str, bool], Result],
    seconds: float = math.inf,
    begin: Callable[[Job], None] = lambda job: None,
    start: Callable[[], object] | None = None,
) -> Iterator[tuple[Job, Result]]:
    """Does jobs, and yields what came of each as it is done, in any order.

    Args:
        work: what a process does with a job; a function that processes find by its name.
        jobs: plain values.
        workers: processes.
        failed: what comes of a job that ended its process (True) or took too long (False); the text says how.
        seconds: a job that takes longer is given up.
        begin: called with each job before a process gets it.
        start: called in each process first.

    Raises:
        RuntimeError: processes end while they start, or `start` or `work` raised.
        TooManyOpenFiles: which is what they raised.
    """
    # Not forked: TensorFlow's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    waiting = list(reversed(jobs))
    lanes = [_Lane[Job](context, work, start) for _ in range(min(workers, len(jobs)))]
    lost = 0
    try:
        while lanes:
            nearest = min((lane.deadline for lane in lanes if lane.busy), default=math.inf)
            wait(
                [lane.connection for lane in lanes],
                None if nearest == math.inf else max(0.0, nearest - time.monotonic()),
            )
            for lane in list(lanes):
                busy, job = lane.busy, lane.job
                answer = lane.answer(seconds)
                if answer is None:
                    continue
                if answer.error is not None:
                    raise answer.error
                if busy and job is not None:
                    yield job, answer.result if answer.lost is None else failed(job, answer.lost, answer.died)
                    lane.busy = False
                lost = lost + 1 if not busy and answer.died else 0
                if lost > _LOST_STARTS:
                    raise RuntimeError(
                        f"processes end while they start ({answer.lost}); in a script, call what needs them below "
                        '`if __name__ == "__main__":`'
                    )
                if not lane.alive:
                    lanes.remove(lane)
                    if waiting:
                        lanes.append(_Lane(context, work, start))
                elif waiting:
                    begin(waiting[-1])
                    lane.give(waiting.pop(), seconds)
                else:
                    lane.stop()
                    lanes.remove(lane)
    finally:
        for lane in lanes:
            lane.stop()


@dataclass(frozen=True)
class _Answer:
    """What a process says, or what has become of it: of all but `died` one at most is there."""

    result: Any = None
    error: Exception | None = None
    lost: str | None = None
    died: bool = False


class _Lane(Generic[Job]):
    """One process and the job it is at."""

    def __init__(
        self,
        context: multiprocessing.context.SpawnContext,
        work: Callable[[Job], Any],
        start: Callable[[], object] | None,
    ) -> None:
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, work, start), daemon=True)
        self.process.start()
        theirs.close()  # so that the pipe ends with the process
        self.job: Job | None = None
        self.busy = False
        self.deadline = math.inf
        self.alive = True

    def give(self, job: Job, seconds: float) -> None:
        self.job, self.busy, self.deadline = job, True, time.monotonic() + seconds
        with contextlib.suppress(OSError):  # it has died just now, and the next answer says so
            self.connection.send(job)

    def answer(self, seconds: float) -> _Answer | None:
        """None: nothing yet."""
        try:
            if self.connection.poll():
                answer: _Answer = self.connection.recv()
                return answer
        except (EOFError, OSError):
            self.alive = False
            return _Answer(lost=self._end(), died=True)
        if not self.busy or time.monotonic() < self.deadline:
            return None
        self.stop()
        return _Answer(lost=f"took longer than {seconds / 60:g} minutes")

    def _end(self) -> str:
        """How the process ended."""
        self.process.join(10)
        return how_it_ended(self.process.exitcode)

    def stop(self) -> None:
        """Ends the process; one without a job has nothing to lose."""
        self.alive = False
        self.connection.close()
        self.process.kill()
        self.process.join(10)


def end_with_parent() -> None:
    """Has this process killed when the one that began it ends, however that ends.

    Else a process whose parent was killed would go on to write, beside those of the next run.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def how_it_ended(code: int | None) -> str:
    """An exit code of a process in words."""
    if code is not None and code < 0:
        return f"signal {-code}: {signal.strsignal(-code)}"
    return f"exit status {code}"


def _serve(connection: Connection, work: Callable[[Any], Any], start: Callable[[], object] | None) -> None:
    """What a process does: jobs, one after the other, until it is no longer asked."""
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # every process would take the GPU's memory
    os.environ.setdefault("ATS_MAG_THREADS", "1")  # the processes are the parallelism
    with open(os.devnull, "w") as devnull:
        os.dup2(devnull.fileno(), 2)  # what libraries log; errors come back as values
    try:
        if start is not None:
            start()
        connection.send(_Answer())
        while True:
            connection.send(_Answer(work(connection.recv())))
    except (EOFError, BrokenPipeError):
        return
    except Exception as error:
        limit = limit_behind(error)
        connection.send(_Answer(error=limit or RuntimeError(f"{type(error).__name__}: {error}")))
