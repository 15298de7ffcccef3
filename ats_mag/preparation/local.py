"""Slides over processes of this machine, each of which may die or hang without the others noticing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ats_mag.preparation.job import Job, Outcome, Work
from ats_mag.system.processes import run_in_processes


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
    return run_in_processes(work, jobs, workers, _failed, seconds, begin, _start)


def _start() -> None:
    from ats_mag.slides.library import load_op

    load_op()


def _failed(job: Job, how: str, died: bool) -> Outcome:
    return Outcome(error=f"the process that read it died ({how})" if died else f"reading it {how}", died=died)
