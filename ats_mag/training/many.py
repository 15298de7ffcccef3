"""Many trainings at once, one at each worker of a Dask cluster: folds of a run, or runs of several seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ats_mag.training.fold_job import FoldJob, FoldOutcome
from ats_mag.training.fold_worker import train_at_worker

if TYPE_CHECKING:
    from ats_mag.runs.run import Run
    from ats_mag.system.dask_workers import News


@dataclass(frozen=True)
class FoldNews:
    """Something that has happened to a training.

    Attributes:
        run: of the fold.
        fold: its number.
        status: `kept` (it was trained already), `begun` at a worker, `lost` with it (another goes on from the last
            checkpoint), `refused` by a worker that cannot train it (another will), `trained`, or `failed`.
        worker: the address of the worker; "": none had it.
        why: it was lost, refused or failed, else "".
        notes: what was doubtful while it was trained.
    """

    run: Run
    fold: int
    status: Literal["kept", "begun", "lost", "refused", "trained", "failed"]
    worker: str = ""
    why: str = ""
    notes: tuple[str, ...] = ()


def train_many(
    trainings: Iterable[tuple[Run, int]], scheduler: str, tick: Callable[[], None] = lambda: None
) -> Iterator[FoldNews]:
    """Trains folds of one or several runs, one at a time at each worker of a cluster, and yields what happens to them.

    Every training is as `train_fold` does it: resumed where it was interrupted, kept where it is complete, and with
    the same result as alone. A fold whose worker dies goes on at another from its last checkpoint. One that fails
    costs the others nothing. Leaving the iteration ends the trainings; the same call goes on with them.

    Args:
        trainings: runs and the numbers of their folds.
        scheduler: address of a Dask scheduler. Its workers must see slides, records and runs under the same paths.
        tick: called every few seconds, and more often.

    Raises:
        ValueError: a training that is named twice, no fold of its run, or meant for several machines together.
        ConnectionError: no Dask scheduler answers, or it was lost.
        ImportError: Dask is not installed.
        RuntimeError: no worker can train; the message says why.
    """
    from ats_mag.system.dask_cluster import connected
    from ats_mag.system.dask_workers import one_per_worker

    todo: dict[FoldJob, tuple[Run, int]] = {}
    kept: list[FoldNews] = []
    for run, fold in trainings:
        run.test_slides(fold)  # there is such a fold
        if str(run.config.train.devices) == "cluster":
            raise ValueError(
                f"the run {str(run.config.run)!r} has train.devices: cluster, for one training over several machines, and a "
                "scheduler gives each fold to one: set train.devices: one (or all), or leave the scheduler out"
            )
        job = FoldJob.of(run, fold)
        if job in todo:
            raise ValueError(f"fold {fold} of {str(run.config.run)!r} is to be trained twice at once")
        if run.layout.fold(fold).is_trained:
            kept.append(FoldNews(run, fold, "kept"))
        else:
            todo[job] = (run, fold)
    yield from kept
    if todo:
        with connected(scheduler) as client:
            for news in one_per_worker(client, train_at_worker, list(todo), "train folds", tick):
                yield _in_words(news, *todo[news.job])


def _in_words(news: News[FoldJob, FoldOutcome], run: Run, fold: int) -> FoldNews:
    if news.what == "done" and news.outcome is not None:
        why, notes = news.outcome.error or "", news.outcome.notes
        return FoldNews(run, fold, "failed" if why else "trained", news.worker, why, notes)
    if news.what in ("begun", "lost", "refused"):
        return FoldNews(run, fold, news.what, news.worker, news.why)
    return FoldNews(run, fold, "failed", news.worker, news.why)
