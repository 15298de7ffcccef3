"""Slides over the workers of a Dask cluster: the same work on several machines that share their files."""

from __future__ import annotations

import contextlib
import logging
import math
import re
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import CancelledError  # of which those of Dask are kinds
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

if TYPE_CHECKING:
    from distributed import Client, Future

_Job = TypeVar("_Job")
_Outcome = TypeVar("_Outcome")

_SECONDS_TO_CONNECT = 15
_SECONDS_FOR_WORKERS = 60
SECONDS_WITHOUT_WORKERS = 300
_POLL = 30.0  # seconds between looks at the cluster
_AHEAD = 2  # slides that wait at each of the cluster's threads
_ADDRESS = re.compile(r"(?:[a-z]+://)?(?:[^\s:/\[\]]+|\[[0-9A-Fa-f:.%]+\]):(?P<port>\d{1,5})/?")


def check_address(address: str) -> None:
    """Makes sure that it can be the address of a Dask scheduler, without asking there. Of others Dask would leave half a client behind.

    Raises:
        ValueError: it cannot.
    """
    found = _ADDRESS.fullmatch(address)
    if address.startswith("inproc://") or (found is not None and 0 < int(found["port"]) < 2**16):
        return
    raise ValueError(
        f"the scheduler's address must be one that `dask scheduler` prints, such as tcp://HOST:8786. Received: {address!r}"
    )


@contextmanager
def connected(address: str) -> Iterator[Client]:
    """A client of the Dask scheduler at an address such as `tcp://10.0.0.1:8786`.

    Raises:
        ValueError: it is no address.
        ImportError: Dask is not installed.
        ConnectionError: nothing answers there, or no worker comes.
    """
    check_address(address)
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
    with _unlogged("distributed.client"), client:  # errors that are raised need not be logged, too
        try:
            client.wait_for_workers(1, timeout=_SECONDS_FOR_WORKERS)
        except TimeoutError as error:
            raise ConnectionError(
                f"the Dask scheduler at {address!r} has no workers: start some with `dask worker {address}`"
            ) from error
        yield client


@contextmanager
def _unlogged(name: str) -> Iterator[None]:
    """Within it, a logger says nothing."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)


def run_on_dask(
    client: Client,
    work: Callable[[_Job], _Outcome],
    jobs: Sequence[_Job],
    at_once: int | None,
    begin: Callable[[_Job], None],
    died: Callable[[str], _Outcome],
    doing: str = "prepare",
    seconds: float = math.inf,
    late: Callable[[str], _Outcome] | None = None,
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
        seconds: a slide that a worker is at for longer is given up, and the worker started anew, where it has a nanny.
        late: what comes of such a slide, given a message. None: as `died`.

    Raises:
        ConnectionError: the scheduler was lost, or had no workers for minutes; what is done is done.
        RuntimeError: the workers cannot do this work, e.g. as they have another version of the package.
    """
    from distributed import wait
    from distributed.scheduler import KilledWorker

    waiting = list(reversed(jobs))
    under_way: dict[Future, _Job] = {}
    supervisor = _Supervisor(client, seconds)

    def hand_out() -> None:
        width = at_once or _AHEAD * max(1, sum(client.nthreads().values()))
        while waiting and len(under_way) < width:
            job = waiting.pop()
            begin(job)
            future = client.submit(work, job, key=f"{doing}-{uuid4().hex}", pure=False)
            under_way[future] = job

    while waiting or under_way:
        with naming_lost_scheduler():
            hand_out()
            try:
                with client.as_current():
                    done = wait(list(under_way), timeout=min(_POLL, seconds), return_when="FIRST_COMPLETED").done
            except TimeoutError:
                done = set()
            given_up = supervisor.late({future.key: future for future in under_way if future not in done})
        for future in given_up:
            told = late or died
            yield under_way.pop(future), told(f"reading it took longer than {seconds / 60:g} minutes")
        for future in done:
            job = under_way.pop(future)
            try:
                with naming_lost_scheduler():
                    outcome = future.result()
            except KilledWorker:
                outcome = died("the process that read it died (a Dask worker, several times)")
            except ConnectionError:
                raise
            except Exception as error:
                raise RuntimeError(
                    f"the Dask workers cannot {doing} slides: {type(error).__name__}: {error}"
                ) from error
            yield job, outcome


@contextmanager
def naming_lost_scheduler() -> Iterator[None]:
    """Within it, that the scheduler does not answer any more is a `ConnectionError` that says what to do."""
    try:
        yield
    except NoWorkers:
        raise
    except (CancelledError, OSError) as error:
        raise ConnectionError("the Dask scheduler was lost; run the command again, and what is done is kept") from error


class NoWorkers(ConnectionError):
    """There is nobody left to do the work.

    Args:
        address: of the scheduler.
    """

    def __init__(self, address: str) -> None:
        super().__init__(
            f"the Dask scheduler has had no workers for {SECONDS_WITHOUT_WORKERS / 60:g} minutes: start some with `dask "
            f"worker {address}`, then run the command again; what is done is kept"
        )


class _Supervisor:
    """Sees that a cluster has workers, and that none is at a slide for too long.

    Args:
        client: of the cluster.
        seconds: that a worker may be at a slide.
    """

    def __init__(self, client: Client, seconds: float) -> None:
        self.client, self.seconds = client, seconds
        self._looked = self._manned = time.monotonic()
        self._running: dict[Hashable, float] = {}  # since when workers are known to be at a slide

    def late(self, under_way: dict[Hashable, Future]) -> list[Future]:
        """Looks, if it is time: the futures of `under_way` (by their keys) that were given up.

        Raises:
            ConnectionError: there have been no workers for minutes.
        """
        now = time.monotonic()
        if now - self._looked < min(_POLL, self.seconds):
            return []
        self._looked = now
        scheduler: Any = self.client.scheduler  # which a connected client has
        if self.client.nthreads():
            self._manned = now
        elif now - self._manned > SECONDS_WITHOUT_WORKERS:
            raise NoWorkers(scheduler.address)
        if self.seconds == math.inf or not under_way:
            return []
        try:  # what workers are at; other slides wait in their queues
            stacks = self.client.sync(scheduler.call_stack, keys=list(under_way), callback_timeout=_SECONDS_FOR_WORKERS)
        except OSError:  # one died just now
            return []
        at = {key: worker for worker, of_worker in stacks.items() for key in of_worker}
        self._running = {key: self._running.get(key, now) for key in at}
        late = [key for key, since in self._running.items() if key in under_way and now - since > self.seconds]
        for key in late:
            under_way[key].cancel()
            # A worker without a nanny stays as it is, less the thread that hangs.
            with contextlib.suppress(ValueError, KeyError, TimeoutError):
                self.client.restart_workers([at[key]], timeout=_SECONDS_FOR_WORKERS, raise_for_error=False)
        return [under_way[key] for key in late]
