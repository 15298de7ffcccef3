"""Who reads: our op, its peers in Python and bare decoding, each in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from experiments.common.worker import Worker, WorkerError

REFERENCE = "openslide-python"


class Contestant(NamedTuple):
    """How a contestant's process is made, and where it reads.

    Attributes:
        corners: reads at corners of tiles instead of the common places, at level 0 only.
        patches: whether it delivers pixels that can be compared.
    """

    name: str
    factory: str
    threads: int
    settings: Mapping[str, int]
    environment: Mapping[str, str]
    corners: bool = False
    patches: bool = True

    @property
    def key(self) -> str:
        """Its name in results."""
        return f"{self.name}, {self.threads} thread{'s' * (self.threads > 1)}"

    def start(self) -> Worker:
        """Its process."""
        quiet = {"TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": ""}
        environment = quiet | {"ATS_MAG_THREADS": str(self.threads)} | dict(self.environment)
        settings = {"threads": self.threads, **self.settings}
        return Worker(f"experiments.benchmarks.reading.readers:{self.factory}", settings, environment, self.threads)


def contestants(threads: tuple[int, ...]) -> Iterator[Contestant]:
    """All of them; those with other than their default cache at the largest number of threads only."""
    through_openslide = {"ATS_MAG_DIRECT": "0"}
    for n in threads:
        yield Contestant("ours", "Ours", n, {}, {})
        yield Contestant("ours, through OpenSlide", "Ours", n, {}, through_openslide)
        yield Contestant("ours, snapped to tiles", "Ours", n, {}, {}, corners=True)
        yield Contestant(REFERENCE, "OpenSlidePython", n, {}, {})
        yield Contestant("tiffslide", "Tiffslide", n, {}, {})
        yield Contestant("tifffile + imagecodecs", "Tifffile", n, {}, {})
        yield Contestant("cuCIM", "CuCIM", n, {}, {})
        yield Contestant("fastslide", "FastSlide", n, {}, {})
        yield Contestant("bare decoding of the tiles", "BareDecoding", n, {}, {}, patches=False)
    n = max(threads)
    no_cache = {"ATS_MAG_CACHE_BYTES": "0"}
    yield Contestant("ours, no cache", "Ours", n, {}, no_cache)
    yield Contestant("ours, through OpenSlide, no cache", "Ours", n, {}, no_cache | through_openslide)
    yield Contestant("ours, 16 a call", "Ours", n, {"per_call": 16}, {})
    yield Contestant("ours, 16 a call, no cache", "Ours", n, {"per_call": 16}, no_cache)
    yield Contestant("openslide-python, no cache", "OpenSlidePython", n, {"cache_bytes": 0}, {})
    yield Contestant("openslide-python, 512 MiB", "OpenSlidePython", n, {"cache_bytes": 512 << 20}, {})
    yield Contestant("cuCIM, 512 MiB", "CuCIM", n, {"cache_mebibytes": 512}, {})
    yield Contestant("fastslide, 512 MiB", "FastSlide", n, {"cache_bytes": 512 << 20}, {})


class Field:
    """The contestants' processes: started once, and again where one has died.

    Args:
        threads: of each.
        names: parts of the names of those that enter; the reference always does.
    """

    def __init__(self, threads: tuple[int, ...], names: Sequence[str] = ("",)) -> None:
        self.contestants = [
            one for one in contestants(threads) if one.name == REFERENCE or any(name in one.name for name in names)
        ]
        self.workers: dict[str, Worker] = {}
        self.not_installed: dict[str, str] = {}

    def entered(self) -> list[tuple[Contestant, Worker]]:
        """The contestants that are installed, with their processes."""
        for contestant in self.contestants:
            key = contestant.key
            worker = self.workers.get(key)
            if key in self.not_installed or (worker is not None and worker.alive):
                continue
            try:
                self.workers[key] = contestant.start()
            except WorkerError as error:
                self.not_installed[key] = str(error)
        return [(c, self.workers[c.key]) for c in self.contestants if c.key in self.workers]

    def close(self) -> None:
        """Ends the processes."""
        for worker in self.workers.values():
            worker.close()
