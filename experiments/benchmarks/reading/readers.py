"""Readers: each reads patches at given places of a level into one array, its own usual way.

A place is the top-left corner (x, y) in pixels of the level; the levels measured have whole downsamples, so that all
read the same pixels. Peers are imported where they are used: those that are not installed are left out.
"""

from __future__ import annotations

import functools
import itertools
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

OPENSLIDE_CACHE = 32 << 20  # bytes; what OpenSlide gives each handle of itself


class Reader(ABC):
    """A contestant.

    Args:
        threads: that read.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None

    @abstractmethod
    def open(self, path: str, level: int, downsample: int, shape: tuple[int, int]) -> None:
        """Takes up a slide: opens what stays open, and whatever else is done once per slide."""

    @abstractmethod
    def read(self, places: np.ndarray, size: int) -> np.ndarray:
        """`(N, 2)` places -> `(N, size, size, 3)` uint8."""

    def all(self, do: Callable[[Any], None], these: Iterable[Any]) -> None:
        """Does it to all of these with the contestant's threads."""
        for _ in map(do, these) if self._pool is None else self._pool.map(do, these):
            pass

    def prepare(self, places: np.ndarray, size: int) -> None:  # noqa: B027  (most have nothing to prepare)
        """Before the clock starts."""

    def turn(self, places: np.ndarray, size: int) -> tuple[float, float]:
        """Seconds on the clock and seconds of processor time."""
        self.prepare(places, size)
        wall, cpu = time.perf_counter(), time.process_time()
        self.read(places, size)
        return time.perf_counter() - wall, time.process_time() - cpu


class PatchReader(Reader):
    """A contestant that reads one patch a call."""

    @abstractmethod
    def patch(self, x: int, y: int, size: int) -> Any:
        """One patch."""

    def read(self, places: np.ndarray, size: int) -> np.ndarray:
        patches = np.empty((len(places), size, size, 3), np.uint8)

        def one(i: int) -> None:
            patches[i] = self.patch(*places[i].tolist(), size)

        self.all(one, range(len(places)))
        return patches


class Ours(Reader):
    """`ats_mag.read_patches`; threads and cache are set by the environment.

    Args:
        per_call: patches of one call, within which a tile that several patches touch is decoded once; None: all.
    """

    def __init__(self, threads: int, per_call: int | None = None) -> None:
        super().__init__(threads)
        from ats_mag.slides.reader import read_patches

        self._read_patches, self._per_call = read_patches, per_call

    def open(self, path: str, level: int, downsample: int, shape: tuple[int, int]) -> None:
        self._path, self._downsample = path, downsample

    def read(self, places: np.ndarray, size: int) -> np.ndarray:
        location = np.asarray(places, np.int64)[None] * self._downsample
        if self._per_call is None:
            return self._call(location, size)
        patches = np.empty((len(places), size, size, 3), np.uint8)
        for start in range(0, len(places), self._per_call):
            few = slice(start, start + self._per_call)
            patches[few] = self._call(location[:, few], size)
        return patches

    def _call(self, location: np.ndarray, size: int) -> np.ndarray:
        return self._read_patches([self._path], location, float(self._downsample), (size, size)).numpy()[0]


class OpenSlidePython(PatchReader):
    """openslide-python; threads share the handle, which OpenSlide makes safe.

    Args:
        cache_bytes: of the tile cache; None: OpenSlide's own.
    """

    def __init__(self, threads: int, cache_bytes: int | None = None) -> None:
        super().__init__(threads)
        import openslide

        self._openslide, self._cache_bytes = openslide, cache_bytes

    def open(self, path: str, level: int, downsample: int, shape: tuple[int, int]) -> None:
        self._slide = self._openslide.OpenSlide(path)
        if self._cache_bytes is not None:
            self._slide.set_cache(self._openslide.OpenSlideCache(self._cache_bytes))
        self._level, self._downsample = level, downsample

    def patch(self, x: int, y: int, size: int) -> Any:
        region = self._slide.read_region((x * self._downsample, y * self._downsample), self._level, (size, size))
        return np.asarray(region)[..., :3]


class Tiffslide(PatchReader):
    """tiffslide, whose zarr brings threads of its own."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        import tiffslide

        self._tiffslide = tiffslide

    def open(self, path: str, level: int, downsample: int, shape: tuple[int, int]) -> None:
        self._slide = self._tiffslide.TiffSlide(path)
        self._level, self._downsample = level, downsample
        if tuple(self._slide.level_dimensions[level]) != shape[::-1]:
            raise ValueError(f"tiffslide sees another level {level}: {self._slide.level_dimensions}")

    def patch(self, x: int, y: int, size: int) -> Any:
        place = (x * self._downsample, y * self._downsample)
        return self._slide.read_region(place, self._level, (size, size), as_array=True)[..., :3]


class FastSlide(PatchReader):
    """fastslide, whose places are pixels of the level; threads share the handle.

    Args:
        cache_bytes: of its tile cache for the slide; 0: none, which is its default.
    """

    def __init__(self, threads: int, cache_bytes: int = 0) -> None:
        super().__init__(threads)
        import fastslide

        self._open, self._cache_bytes = fastslide.FastSlide.from_file_path, cache_bytes

    def open(self, path: str, level: int, downsample: int, shape: tuple[int, int]) -> None:
        self._slide = self._open(path, cache=self._cache_bytes or None)
        self._level = level
        if level >= len(self._slide.level_dimensions) or tuple(self._slide.level_dimensions[level]) != shape[::-1]:
            raise ValueError(f"fastslide sees another level {level}: {self._slide.level_dimensions}")

    def patch(self, x: int, y: int, size: int) -> Any:
        return self._slide.read_region((x, y), self._level, (size, size)).numpy()[..., :3]


class CuCIM(Reader):
    """cuCIM on the processor: all places in one call with as many workers of its own, as its documentation shows.

    Args:
        cache_mebibytes: of its tile cache for the process; 0: none, which is its default.
    """

    BATCH = 64

    def __init__(self, threads: int, cache_mebibytes: int = 0) -> None:
        super().__init__(threads)
        from cucim import CuImage

        self._open = CuImage
        if cache_mebibytes:
            CuImage.cache("per_process", memory_capacity=cache_mebibytes)

    def open(self, path: str, level: int, downsample: int, shape: tuple[int, int]) -> None:
        self._slide = self._open(path)
        self._level, self._downsample = level, downsample
        if tuple(self._slide.resolutions["level_dimensions"][level]) != shape[::-1]:
            raise ValueError(f"cuCIM sees another level {level}: {self._slide.resolutions['level_dimensions']}")

    def read(self, places: np.ndarray, size: int) -> np.ndarray:
        patches = np.empty((len(places), size, size, 3), np.uint8)
        location = (places * self._downsample).tolist()
        batches = self._slide.read_region(
            location, (size, size), self._level, num_workers=self.threads, batch_size=self.BATCH
        )
        for start, batch in zip(range(0, len(places), self.BATCH), batches, strict=True):
            got = np.asarray(batch)
            patches[start : start + self.BATCH] = got.reshape(-1, size, size, got.shape[-1])[..., :3]
        return patches


class Tifffile(PatchReader):
    """tifffile and imagecodecs: the touched tiles decoded one by one, put together by hand, the latest ones kept."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        import tifffile

        self._tifffile = tifffile

    def open(self, path: str, level: int, downsample: int, shape: tuple[int, int]) -> None:
        self._page = page = tiled_page(self._tifffile.TiffFile(path), shape)
        self._file = Path(path).open("rb")  # noqa: SIM115  (stays open for the slide)
        self._side, self._across = page.tilelength, -(-page.imagewidth // page.tilewidth)
        tile_bytes = page.tilelength * page.tilewidth * 3
        self._tile = functools.lru_cache(OPENSLIDE_CACHE // tile_bytes)(self._decode)

    def _decode(self, index: int) -> np.ndarray:
        page = self._page
        data = os.pread(self._file.fileno(), page.databytecounts[index], page.dataoffsets[index])
        return page.decode(data, index, jpegtables=page.jpegtables)[0][0]

    def patch(self, x: int, y: int, size: int) -> Any:
        patch = np.empty((size, size, 3), np.uint8)
        side = self._side
        for row, column in touched(x, y, size, side):
            tile = self._tile(row * self._across + column)
            top, left = row * side - y, column * side - x  # of the tile within the patch
            inside = patch[max(top, 0) : top + side, max(left, 0) : left + side]
            inside[:] = tile[max(-top, 0) :, max(-left, 0) :][: inside.shape[0], : inside.shape[1]]
        return patch


class BareDecoding(Reader):
    """libjpeg-turbo (in imagecodecs) on the whole of the touched tiles, each once, in memory already, into no patch.

    What decodes only the touched part of a tile, or kept some tiles from the turns before, may be faster.
    """

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        import imagecodecs
        import tifffile

        self._decode, self._tifffile = imagecodecs.jpeg8_decode, tifffile

    def open(self, path: str, level: int, downsample: int, shape: tuple[int, int]) -> None:
        self._page = page = tiled_page(self._tifffile.TiffFile(path), shape)
        if page.compression != self._tifffile.COMPRESSION.JPEG:
            raise ValueError(f"the tiles are no JPEG but {page.compression!r}")
        self._data = Path(path).read_bytes()
        colours = "rgb" if page.photometric == self._tifffile.PHOTOMETRIC.RGB else "ycbcr"
        self._options = {"tables": page.jpegtables, "colorspace": colours, "outcolorspace": "rgb"}

    def prepare(self, places: np.ndarray, size: int) -> None:
        page = self._page
        across = -(-page.imagewidth // page.tilewidth)
        tiles = (touched(x, y, size, page.tilewidth) for x, y in places.tolist())
        indices = sorted({row * across + column for row, column in itertools.chain.from_iterable(tiles)})
        self._tiles = [self._data[page.dataoffsets[i] : page.dataoffsets[i] + page.databytecounts[i]] for i in indices]

    def read(self, places: np.ndarray, size: int) -> np.ndarray:
        self.all(lambda tile: self._decode(tile, **self._options), self._tiles)
        return np.empty(0)


def touched(x: int, y: int, size: int, side: int) -> Iterator[tuple[int, int]]:
    """Rows and columns of the tiles that a patch lies on."""
    return itertools.product(range(y // side, (y + size - 1) // side + 1), range(x // side, (x + size - 1) // side + 1))


def tiled_page(tiff: Any, shape: tuple[int, int]) -> Any:
    """The tiled page of a level of that height and width."""
    for page in tiff.pages:
        if page.is_tiled and page.shape[:2] == tuple(shape):
            return page
    raise ValueError(f"no tiled page of {shape[1]} x {shape[0]} pixels")
