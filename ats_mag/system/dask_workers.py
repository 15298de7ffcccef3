"""Long jobs over the workers of a Dask cluster, one at a time at each; what a worker dies at goes on at another."""

from __future__ import annotations

import importlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar
from uuid import uuid4

from ats_mag.system import dask_cluster
from ats_mag.system.dask_cluster import NoWorkers, naming_lost_scheduler

if TYPE_CHECKING:
    from distributed import Client, Future

_Job = TypeVar("_Job")
_Outcome = TypeVar("_Outcome")

_POLL = 2.0  # seconds between looks at the cluster
_SECONDS_FOR_ANSWER = 60.0  # within which the answer of a job that ended must be here
_DEATHS = 3  # of one job: more, and it is the job that kills


class WorkDied(Exception):
    """Raised by work whose own process died: the job is given out again, as when its worker dies."""


@dataclass(frozen=True)
class News(Generic[_Job, _Outcome]):
    """Something that has happened to a job.

    Attributes:
        job: it.
        what: `begun` at a worker; `lost` with it, to be given to another; `given_up` after several deaths; `done`;
            `refused` by a worker that cannot do such work, to be given to another.
        worker: its address.
        outcome: of what is done, else None.
        why: of what is lost, given up or refused.
    """

    job: _Job
    what: Literal["begun", "lost", "given_up", "done", "refused"]
    worker: str
    outcome: _Outcome | None = None
    why: str = ""


def one_per_worker(
    client: Client,
    work: Callable[[_Job], _Outcome],
    jobs: Sequence[_Job],
    doing: str,
    tick: Callable[[], None] = lambda: None,
) -> Iterator[News[_Job, _Outcome]]:
    """Hands jobs out, one to each worker whatever threads it has, and yields what happens to them.

    Dask alone would give a worker as many jobs as it has threads, and would not say which of them were lost.

    Args:
        client: see `dask_cluster.connected`.
        work: what a worker does with a job; a function that workers find by its name. What is wrong with the job it
            returns; it raises where this worker can do no such work, and `WorkDied`.
        jobs: plain values, none equal to another.
        doing: what is done, for messages: "train folds".
        tick: called every few seconds, and more often.

    Raises:
        ConnectionError: the scheduler was lost, or had no workers for minutes; what is done is done.
        RuntimeError: no worker there can do this work.
    """
    cluster = _Cluster[_Job](client, work, jobs, doing)
    try:
        while cluster.waiting or cluster.under_way:
            tick()
            with naming_lost_scheduler():
                news: list[News[Any, Any]] = cluster.hand_out()
            yield from news
            with naming_lost_scheduler():
                news = [cluster.ended(future) for future in cluster.wait()] + cluster.lost()
            yield from news
    finally:
        cluster.take_back()


class _Cluster(Generic[_Job]):
    """What waits, and what is under way where."""

    def __init__(self, client: Client, work: Callable[[_Job], Any], jobs: Sequence[_Job], doing: str) -> None:
        self.client, self.work, self.doing = client, work, doing
        self.waiting = list(jobs)
        self.under_way: dict[Future, tuple[_Job, str]] = {}
        self.deaths = Counter[_Job]()
        self.able: set[str] = set()  # addresses of workers
        self.refusals: dict[str, str] = {}  # by the address of the worker
        self._manned = time.monotonic()

    def hand_out(self) -> list[News[_Job, Any]]:
        """Gives the next jobs to workers without one."""
        there = set(self.client.nthreads())
        if there:
            self._manned = time.monotonic()
        elif time.monotonic() - self._manned > dask_cluster.SECONDS_WITHOUT_WORKERS:
            scheduler: Any = self.client.scheduler  # which a connected client has
            raise NoWorkers(scheduler.address)
        if there and not self.under_way and there <= self.refusals.keys():
            worker = min(there)
            raise RuntimeError(f"the Dask workers cannot {self.doing}: {worker}: {self.refusals[worker]}")
        idle = there - self.refusals.keys() - {worker for _, worker in self.under_way.values()}
        news = []
        for worker in sorted(idle)[: len(self.waiting)]:
            if worker not in self.able and not self._is_able(worker):
                if worker in self.refusals:
                    news.append(News[_Job, Any](self.waiting[0], "refused", worker, why=self.refusals[worker]))
                continue
            job = self.waiting.pop(0)
            key = f"{self.doing.replace(' ', '-')}-{uuid4().hex}"
            future = self.client.submit(
                self.work, job, key=key, pure=False, workers=[worker], allow_other_workers=False
            )
            self.under_way[future] = (job, worker)
            news.append(News[_Job, Any](job, "begun", worker))
        return news

    def _is_able(self, worker: str) -> bool:
        """Whether the worker has the package: one that cannot read the job that it is sent would die of it."""
        found = self.client.run(import_module, self.work.__module__, workers=[worker], on_error="return").get(worker)
        if isinstance(found, OSError) and not isinstance(found, FileNotFoundError):  # it is gone
            return False
        if isinstance(found, Exception):
            text = str(found) if type(found) is Exception else f"{type(found).__name__}: {found}"
            self.refusals[worker] = f"{text}; install the same version of the package there"
            return False
        self.able.add(worker)
        return True

    def wait(self) -> list[Future]:
        """Waits a little, and returns what ended meanwhile."""
        from distributed import wait

        if not self.under_way:  # nothing to wait for but workers
            time.sleep(_POLL)
            return []
        try:
            with self.client.as_current():
                return list(wait(list(self.under_way), timeout=_POLL, return_when="FIRST_COMPLETED").done)
        except TimeoutError:
            return []

    def ended(self, future: Future) -> News[_Job, Any]:
        """What came of a job whose future says that it ended."""
        from distributed.scheduler import KilledWorker

        job, worker = self.under_way.pop(future)
        try:
            error = future.exception(timeout=_SECONDS_FOR_ANSWER)
            if error is None:
                return News(job, "done", worker, future.result(timeout=_SECONDS_FOR_ANSWER))
        except TimeoutError:  # the worker died before its answer was fetched
            return self._died(job, worker, "it died before its answer was here")
        if isinstance(error, KilledWorker):
            return self._died(job, worker, "it died, several times")
        if isinstance(error, WorkDied):
            return self._died(job, worker, str(error))
        self.waiting.insert(0, job)
        self.refusals[worker] = f"{type(error).__name__}: {error}"
        return News(job, "refused", worker, why=self.refusals[worker])

    def lost(self) -> list[News[_Job, Any]]:
        """Jobs of workers that are gone."""
        if not self.under_way:
            return []
        there = self.client.nthreads()
        gone = [future for future, (_, worker) in self.under_way.items() if worker not in there]
        self.client.cancel(gone)  # else a worker of the same address would be given them, too
        return [self._died(*self.under_way.pop(future), "it is gone") for future in gone]

    def _died(self, job: _Job, worker: str, why: str) -> News[_Job, Any]:
        self.deaths[job] += 1
        if self.deaths[job] > _DEATHS:
            return News(
                job, "given_up", worker, why=f"workers died at it {self.deaths[job]} times; the last time: {why}"
            )
        self.waiting.insert(0, job)
        return News(job, "lost", worker, why=why)

    def take_back(self) -> None:
        """Tells the workers that nobody waits for their jobs any more."""
        try:
            self.client.cancel(list(self.under_way))
        except Exception:  # the scheduler is gone, and what there was to say has been said
            self.under_way.clear()


def import_module(name: str) -> None:
    """Imports a module, in a worker's process."""
    importlib.import_module(name)


def taken_back() -> bool:
    """Whether the job of the worker's thread that asks was taken back: nobody waits for it any more."""
    from distributed import get_worker

    try:
        worker = get_worker()
    except ValueError:  # not at a worker
        return False
    task = worker.state.tasks.get(worker.get_current_task())
    return task is None or task.state == "cancelled"
