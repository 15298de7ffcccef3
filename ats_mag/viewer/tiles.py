"""A slide as the square tiles that a deep-zoom viewer asks for, read when they are asked for."""

from __future__ import annotations

import io
import os
import threading

import numpy as np
from PIL import Image

from ats_mag.slides.errors import SlideError
from ats_mag.slides.numpy_reader import read_patches
from ats_mag.slides.paths import encode_paths
from ats_mag.slides.properties import slide_info
from ats_mag.viewer.coarse_picture import CoarsePicture

TILE = 510  # pixels; with its overlap 512
OVERLAP = 1  # pixels that a tile shares with each neighbour, so that no seam shows between them
_FACTOR = 16  # a tile is averaged from no more than so many pixels a side for one
_BASE_SIDE = 4096  # pixels of the coarse picture that tiles are made of where the file has no level for them
_QUALITY = 90


class DeepZoom:
    """A pyramid of tiles over a slide's bounds, level 0 a single pixel and each level twice as fine as the one before.

    That is the numbering of Deep Zoom. A tile is read from the file, as patches are, where the file has a level not much
    finer than it. Coarser tiles (of a file with one level most of them) are made of one picture, see `CoarsePicture`.

    Args:
        slide: the file.
        slide_mpp: um/px of level 0. None: the file's own.

    Attributes:
        info: of the file.
        width, height: of the bounds in level-0 pixels.
        finest: number of the finest level.

    Raises:
        FileNotFoundError, SlideError: there is no slide.
    """

    def __init__(self, slide: str | os.PathLike[str], slide_mpp: float | None = None) -> None:
        self.info = slide_info(slide, slide_mpp)
        self.left, self.top, self.width, self.height = self.info.bounds
        side = max(self.width, self.height)
        self.finest = (side - 1).bit_length()
        self._codes = encode_paths([slide])
        downsamples = self.info.level_downsamples
        steps = range(self.finest + 1)
        # The finest power of two that is far from the file's coarsest level and gives a small picture.
        self._base_step = next(
            (s for s in steps if 2**s >= _FACTOR * max(downsamples) * 0.98 and side <= _BASE_SIDE << s), self.finest
        )
        self._coarse: CoarsePicture | None = None
        self._lock = threading.Lock()

    @property
    def reading(self) -> float | None:
        """The share read so far of a file whose coarse tiles are made of all of it; None: nothing is being read."""
        coarse = self._coarse
        return coarse.share if coarse is not None and coarse.share < 1 else None

    def size(self, level: int) -> tuple[int, int]:
        """(width, height) of a level."""
        downsample = 2 ** (self.finest - level)
        return -(-self.width // downsample), -(-self.height // downsample)

    def grid(self, level: int) -> tuple[int, int]:
        """How many (columns, rows) of tiles a level has; none where there is no such level."""
        if not 0 <= level <= self.finest:
            return 0, 0
        width, height = self.size(level)
        return -(-width // TILE), -(-height // TILE)

    def tile(self, level: int, column: int, row: int) -> np.ndarray:
        """`(h, w, 3)` uint8, with the overlaps.

        Raises:
            IndexError: there is no such tile.
            SlideError: its pixels cannot be read.
        """
        columns, rows = self.grid(level)
        if not (0 <= column < columns and 0 <= row < rows):
            raise IndexError(f"there is no tile {column}, {row} at level {level}")
        width, height = self.size(level)
        x0, y0 = max(column * TILE - OVERLAP, 0), max(row * TILE - OVERLAP, 0)
        x1, y1 = (min((n + 1) * TILE + OVERLAP, end) for n, end in ((column, width), (row, height)))
        step = self.finest - level
        if step >= self._base_step:
            with self._lock:
                if self._coarse is None:
                    size = self.size(self.finest - self._base_step)
                    self._coarse = CoarsePicture(self._read, size, 2**self._base_step, self.info.background)
            return self._coarse.part((x0, y0, x1, y1), 2 ** (step - self._base_step))
        return self._read(np.array([[x0, y0]]), 2**step, (y1 - y0, x1 - x0))[0]

    def _read(self, corners: np.ndarray, downsample: int, size: tuple[int, int]) -> np.ndarray:
        """Pictures of one size at corners given in pixels of that downsample."""
        location = corners[None] * downsample + np.array([self.left, self.top])
        patches, valid = read_patches(self._codes, location, np.full((1, len(corners)), float(downsample)), size)
        if not valid.all():
            raise SlideError(f"{self.info.path!r} has pixels that cannot be read")
        return patches[0]


def encode(pixels: np.ndarray, lossless: bool = False) -> tuple[bytes, str]:
    """A picture as JPEG, or PNG, and its media type."""
    encoded = io.BytesIO()
    image = Image.fromarray(pixels)
    if lossless:
        image.save(encoded, "PNG", compress_level=1)
        return encoded.getvalue(), "image/png"
    image.save(encoded, "JPEG", quality=_QUALITY, subsampling=0)
    return encoded.getvalue(), "image/jpeg"
