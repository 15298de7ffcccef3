"""Work in processes of which any may die: a damaged file must not take the others' results with it."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


def run_apart(
    function: Callable[[Job], Result], jobs: Iterable[Job], workers: int, crashed: Callable[[Job], Result]
) -> Iterator[Result]:
    """The results of all jobs, as they are done.

    When a process dies, the jobs under way are tried again, each in a process of its own, and the rest goes on.

    Args:
        function: does one job; importable by name, and so are jobs and results picklable.
        jobs: what to do.
        workers: processes.
        crashed: the result of a job whose own process has died.
    """
    waiting = deque(jobs)
    while waiting:
        flying: dict[Future[Result], Job] = {}
        with _processes(min(workers, len(waiting))) as pool:
            try:
                while waiting or flying:
                    while waiting and len(flying) < 2 * workers:
                        flying[pool.submit(function, waiting[0])] = waiting[0]
                        waiting.popleft()
                    for future in wait(flying, return_when=FIRST_COMPLETED).done:
                        result = future.result()
                        del flying[future]
                        yield result
            except BrokenProcessPool:
                pass
        for job in flying.values():
            with _processes(1) as pool:
                try:
                    result = pool.submit(function, job).result()
                except BrokenProcessPool:
                    result = crashed(job)
            yield result


def _processes(workers: int) -> ProcessPoolExecutor:
    # Not forked: TensorFlow's threads do not survive a fork.
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _start_worker)


def _start_worker() -> None:
    os.environ.setdefault("ATS_MAG_THREADS", "1")  # the processes are the parallelism
    with open(os.devnull, "w") as devnull:
        os.dup2(devnull.fileno(), 2)  # what libraries log; errors come back as values
