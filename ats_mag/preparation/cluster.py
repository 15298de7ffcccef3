"""Slides over the workers of a Dask cluster: the same work on several machines that share their files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar
from uuid import uuid4

_Job = TypeVar("_Job")
_Outcome = TypeVar("_Outcome")

_SECONDS_TO_CONNECT = 15
_SECONDS_FOR_WORKERS = 60
_AHEAD = 2  # slides that wait at each of the cluster's threads


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """A client of the Dask scheduler at an address such as `tcp://10.0.0.1:8786`.

    Raises:
        ImportError: Dask is not installed.
        ConnectionError: nothing answers there, or no worker comes.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise ImportError("a Dask scheduler needs Dask: pip install 'ats-mag[dask]'") from error
    try:
        client = Client(address, timeout=_SECONDS_TO_CONNECT, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise ConnectionError(
            f"no Dask scheduler answers at {address!r} ({error}); give the address that `dask scheduler` prints, such as "
            "tcp://HOST:8786, or leave `scheduler` out to use this machine's processes"
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=_SECONDS_FOR_WORKERS)
        except TimeoutError as error:
            raise ConnectionError(
                f"the Dask scheduler at {address!r} has no workers: start some with `dask worker {address}`"
            ) from error
        yield client


def run_on_dask(
    client: Any,
    work: Callable[[_Job], _Outcome],
    jobs: Sequence[_Job],
    at_once: int | None,
    begin: Callable[[_Job], None],
    died: Callable[[str], _Outcome],
    doing: str = "prepare",
) -> Iterator[tuple[_Job, _Outcome]]:
    """Hands slides out, and yields what came of each as it is done, in any order.

    Dask itself gives the slides of a worker that died to others; one that workers died at again and again comes back
    as `died`.

    Args:
        client: see `connected`.
        work: what a worker does with a slide; a function that workers find by its name.
        jobs: the slides.
        at_once: most slides that are under way. None: what keeps all workers busy.
        begin: called with each slide before the cluster gets it.
        died: what comes of a slide that workers died at, given a message.
        doing: what is done with slides, for messages.

    Raises:
        ConnectionError: the scheduler was lost; what is done is done.
        RuntimeError: the workers cannot do this work, e.g. as they have another version of the package.
    """
    from distributed import as_completed
    from distributed.client import FutureCancelledError
    from distributed.scheduler import KilledWorker

    waiting = list(reversed(jobs))
    under_way: dict[str, _Job] = {}
    done = as_completed(loop=client.loop)

    def hand_out() -> None:
        width = at_once or _AHEAD * max(1, sum(client.nthreads().values()))
        while waiting and len(under_way) < width:
            job = waiting.pop()
            begin(job)
            future = client.submit(work, job, key=f"{doing}-{uuid4().hex}", pure=False)
            under_way[future.key] = job
            done.add(future)

    hand_out()
    for future in done:
        job = under_way.pop(future.key)
        try:
            outcome = future.result()
        except KilledWorker:
            outcome = died("the process that read it died (a Dask worker, several times)")
        except (FutureCancelledError, OSError) as error:
            raise ConnectionError(
                "the Dask scheduler was lost; run the command again, and what is done is kept"
            ) from error
        except Exception as error:
            raise RuntimeError(f"the Dask workers cannot {doing} slides: {type(error).__name__}: {error}") from error
        yield job, outcome
        hand_out()
