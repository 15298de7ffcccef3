"""One level of one slide, read by all contestants in turns at the same places, and checked for the same pixels."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import openslide

from experiments.benchmarks.reading.contestants import REFERENCE, Contestant
from experiments.common import in_turns
from experiments.common.worker import Worker, WorkerError

SIZE = 224
LEVELS = 3
CHECKED = 12  # patches whose pixels are compared
LARGEST_DIFFERENCE = 2.0  # mean grey levels from openslide-python's pixels: decoders round differently


class Level(NamedTuple):
    """What a contestant is told to open."""

    path: str
    index: int
    downsample: int
    shape: tuple[int, int]
    tile: int


def levels(path: Path, smallest_side: int) -> Iterator[Level]:
    """The first levels that are large enough and of a whole downsample: there all contestants mean the same pixels."""
    with openslide.OpenSlide(path) as slide:
        for i, (width, height) in enumerate(slide.level_dimensions[:LEVELS]):
            downsample = slide.level_downsamples[i]
            tile = int(slide.properties.get(f"openslide.level[{i}].tile-width", 0))
            if min(width, height) >= smallest_side and tile and abs(downsample - round(downsample)) < 1e-6:
                yield Level(str(path), i, round(downsample), (height, width), tile)


def places(level: Level, n: int, seed: int, corners: bool) -> np.ndarray:
    """`(n, 2)` random (x, y) of patches inside the level, at any pixel or at the corners of tiles."""
    height, width = level.shape
    grid = level.tile if corners else 1
    most = ((width - SIZE) // grid + 1, (height - SIZE) // grid + 1)
    return np.random.default_rng(seed).integers(0, most, (n, 2)) * grid


class LevelComparison:
    """All contestants at one level.

    Args:
        level: of a slide.
        entered: the contestants and their processes.
        patches: read per turn.
    """

    def __init__(self, level: Level, entered: list[tuple[Contestant, Worker]], patches: int) -> None:
        self.level, self.patches = level, patches
        self.entered: dict[str, tuple[Contestant, Worker]] = {}
        self.differences: dict[str, tuple[float, int]] = {}
        self.absent: dict[str, str] = {}
        self.cpu: dict[str, list[float]] = {}
        for contestant, worker in entered:
            if contestant.corners and (level.index or level.tile < SIZE):
                continue  # a tile that is smaller than the patch cannot hold it
            try:
                self._enter(contestant, worker)
                self.entered[contestant.key] = contestant, worker
            except WorkerError as error:
                self.absent[contestant.key] = self._said(error)

    def _enter(self, contestant: Contestant, worker: Worker) -> None:
        """Opens the level and compares pixels."""
        worker("open", *self.level[:4])
        if contestant.patches:
            these = places(self.level, CHECKED, 2**20, contestant.corners)
            difference = np.abs(worker("read", these, SIZE) - self._expected(these))
            mean = float(difference.mean())
            if not mean <= LARGEST_DIFFERENCE:
                raise WorkerError(f"reads other pixels: {mean:.1f} grey levels off")
            self.differences[contestant.key] = mean, int(difference.max())

    def _expected(self, these: np.ndarray) -> np.ndarray:
        with openslide.OpenSlide(self.level.path) as slide:
            corners = (these * self.level.downsample).tolist()
            regions = [slide.read_region(corner, self.level.index, (SIZE, SIZE)) for corner in corners]
        return np.stack([np.asarray(region)[..., :3] for region in regions]).astype(np.int16)

    def measure(self, turns: int) -> dict[str, Any]:
        """Patches per second of each contestant, and how many times openslide-python's with as many threads."""
        these: dict[bool, np.ndarray] = {}

        def choose(turn: int) -> None:
            for corners in (False, True):
                these[corners] = places(self.level, self.patches, turn + 1, corners)

        def entrant(key: str) -> Callable[[], in_turns.Taken]:
            contestant, worker = self.entered[key]

            def turn() -> in_turns.Taken:
                if key in self.absent:
                    return in_turns.Taken(math.nan)
                try:
                    wall, cpu = worker("turn", these[contestant.corners], SIZE)
                except WorkerError as error:  # the others go on
                    self.absent[key] = self._said(error)
                    return in_turns.Taken(math.nan)
                self.cpu.setdefault(key, []).append(cpu)
                return in_turns.Taken(wall)

            return turn

        seconds = in_turns.seconds({key: entrant(key) for key in self.entered}, turns, choose)
        return {
            "level": self.level.index,
            "downsample": self.level.downsample,
            "shape": self.level.shape,
            "tile": self.level.tile,
            "patches_per_turn": self.patches,
            "contestants": {key: self._row(key, seconds) for key in seconds if key not in self.absent},
            "absent": self.absent,
        }

    def _said(self, error: WorkerError) -> str:
        """The error, with the slide's name where its path stands: a result file tells nothing of a machine's folders."""
        return str(error).replace(self.level.path, Path(self.level.path).name)

    def _row(self, key: str, seconds: Mapping[str, list[float]]) -> dict[str, Any]:
        contestant, _ = self.entered[key]
        reference = contestant._replace(name=REFERENCE).key
        mean, largest = self.differences.get(key, (None, None))
        cpu = in_turns.summary([1e3 * s / self.patches for s in self.cpu[key][1:]])  # without the untimed turn
        return {
            "name": contestant.name,
            "threads": contestant.threads,
            "patches_per_second": in_turns.summary([self.patches / s for s in seconds[key]]),
            "times_openslide_python": in_turns.ratio(seconds[key], seconds[reference]),
            "cpu_ms_per_patch": cpu["median"],
            "mean_difference": mean,
            "largest_difference": largest,
        }
