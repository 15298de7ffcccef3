"""Slides over processes of this machine, each of which may die without the others noticing.

`concurrent.futures` ends everything when one process dies and cannot say which task killed it; here every process has a
pipe of its own and at most one slide.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait

from ats_mag.preparation.job import Job, Outcome, Work

_LOST_STARTS = 3  # processes in a row that ended before they could take a slide: more, and no slide is to blame
_PR_SET_PDEATHSIG = 1  # of Linux' <sys/prctl.h>


def run_locally(
    work: Work, jobs: Sequence[Job], workers: int, seconds: float, begin: Callable[[Job], None]
) -> Iterator[tuple[Job, Outcome]]:
    """Prepares slides, and yields what came of each as it is done, in any order.

    Args:
        work: what a process does with a slide; a function that processes find by its name.
        jobs: the slides.
        workers: processes.
        seconds: a slide that takes longer is given up.
        begin: called with each slide before a process gets it.

    Raises:
        RuntimeError: processes end while they start, or this package does not work in them.
    """
    # Not forked: TensorFlow's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    waiting = list(reversed(jobs))
    lanes = [_Lane(context, work) for _ in range(min(workers, len(jobs)))]
    lost = 0
    try:
        while lanes:
            nearest = min((lane.deadline for lane in lanes if lane.job is not None), default=None)
            patience = None if nearest is None else max(0.0, nearest - time.monotonic())
            wait([lane.connection for lane in lanes], patience)
            for lane in list(lanes):
                job = lane.job
                answer = lane.answer(seconds)
                if answer is None:
                    continue
                if isinstance(answer, Exception):
                    raise answer
                if isinstance(answer, Outcome) and job is not None:
                    yield job, answer
                    lane.job = None
                lost = lost + 1 if answer == _LOST else 0
                if lost > _LOST_STARTS:
                    raise RuntimeError(
                        f"processes for preparing slides end while they start ({lane.end()}); in a script, call "
                        'prepare below `if __name__ == "__main__":`'
                    )
                if not lane.alive:
                    lanes.remove(lane)
                    if waiting:
                        lanes.append(_Lane(context, work))
                elif waiting:
                    begin(waiting[-1])
                    lane.give(waiting.pop(), seconds)
                else:
                    lane.stop()
                    lanes.remove(lane)
    finally:
        for lane in lanes:
            lane.stop()


_READY, _LOST = "ready", "lost"


class _Lane:
    """One process and the slide it is at."""

    def __init__(self, context: multiprocessing.context.SpawnContext, work: Work) -> None:
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, work), daemon=True)
        self.process.start()
        theirs.close()  # so that the pipe ends with the process
        self.job: Job | None = None
        self.deadline = 0.0
        self.alive = True

    def give(self, job: Job, seconds: float) -> None:
        self.job, self.deadline = job, time.monotonic() + seconds
        with contextlib.suppress(OSError):  # it has died just now, and the next answer says so
            self.connection.send(job)

    def answer(self, seconds: float) -> Outcome | Exception | str | None:
        """What the process has to say, or what has become of it; None: nothing yet."""
        try:
            if self.connection.poll():
                return self.connection.recv()
        except (EOFError, OSError):
            self.alive = False
            end = self.end()
            if self.job is None:
                return _LOST
            return Outcome(error=f"the process that read it died ({end})", died=True)
        if self.job is None or time.monotonic() < self.deadline:
            return None
        self.stop()
        return Outcome(error=f"reading it took longer than {seconds / 60:g} minutes")

    def end(self) -> str:
        """How the process ended."""
        self.process.join(10)
        code = self.process.exitcode
        if code is not None and code < 0:
            return f"signal {-code}: {signal.strsignal(-code)}"
        return f"exit status {code}"

    def stop(self) -> None:
        """Ends the process; one without a slide has nothing to lose."""
        self.alive = False
        self.connection.close()
        self.process.kill()
        self.process.join(10)


def _serve(connection: Connection, work: Work) -> None:
    """What a process does: slides, one after the other, until it is no longer asked."""
    # Else a process whose parent was killed would go on to write, beside those of the next run.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # every process would take the GPU's memory
    os.environ.setdefault("ATS_MAG_THREADS", "1")  # the processes are the parallelism
    with open(os.devnull, "w") as devnull:
        os.dup2(devnull.fileno(), 2)  # what TensorFlow logs when it is imported; errors come back as values
    try:
        from ats_mag.slides.reader import load_op

        load_op()
        connection.send(_READY)
        while True:
            connection.send(work(connection.recv()))
    except (EOFError, BrokenPipeError):
        return
    except Exception as error:
        connection.send(RuntimeError(f"{type(error).__name__}: {error}"))
