"""A coarse picture of a slide whose file has no coarse levels: a sketch at once, and the whole as it is read."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
from PIL import Image

Read = Callable[[np.ndarray, int, tuple[int, int]], np.ndarray]  # (corners, downsample, size) -> pictures

_AT_ONCE = 2**27  # level-0 pixels that are read in about a second
_SKETCH = 48  # places along the longer side that a sketch is made of
_SPOT = 64  # level-0 pixels a side that are averaged at each of them: seldom more than two of the file's tiles
_BAND = 512

_one_at_a_time = threading.Lock()


class CoarsePicture:
    """The whole slide in one picture, for tiles to be cut out of.

    A small slide is read at once. Of a large one a few thousand spots are, which gives a blurred picture in about a second;
    a thread then reads the whole and replaces it from the top to the bottom.

    Args:
        read: reads pictures of one size at corners, both in pixels of a downsample.
        size: (width, height) of the picture.
        downsample: level-0 pixels per pixel.
        background: where the slide ends.

    Attributes:
        share: of the picture that has been read, 0 to 1.
    """

    def __init__(self, read: Read, size: tuple[int, int], downsample: int, background: tuple[int, int, int]) -> None:
        self._read = read
        self.size = size
        self.downsample = downsample
        self.share = 0.0
        self._error: Exception | None = None
        self._lock = threading.Lock()
        # Of sides that are powers of two, so that tiles at the edges can be halved, too.
        self._picture = Image.new("RGB", (_padded(size[0]), _padded(size[1])), background)
        if size[0] * size[1] * downsample**2 <= _AT_ONCE:
            self._fill()
        else:
            self._picture.paste(self._sketch())
            threading.Thread(target=self._fill_later, name="coarse", daemon=True).start()

    def part(self, box: tuple[int, int, int, int], shrink: int) -> np.ndarray:
        """A part (left, top, right, bottom), `shrink` times smaller than the picture, itself in pixels of that size.

        Raises:
            SlideError, ...: the slide could not be read.
        """
        if self._error is not None:
            raise self._error
        left, top, right, bottom = (edge * shrink for edge in box)
        with self._lock:
            return np.asarray(self._picture.crop((left, top, right, bottom)).reduce(shrink))

    def _sketch(self) -> Image.Image:
        width, height = (max(1, round(_SKETCH * edge / max(self.size))) for edge in self.size)
        x, y = (
            (np.arange(n) + 0.5) * edge * self.downsample / n
            for n, edge in ((width, self.size[0]), (height, self.size[1]))
        )
        centres = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
        spots = self._read((centres / _SPOT).astype(int), _SPOT, (1, 1))
        return Image.fromarray(spots.reshape(height, width, 3)).resize(self.size, Image.Resampling.BILINEAR)

    def _fill_later(self) -> None:
        with _one_at_a_time:
            try:
                self._fill()
            except Exception as error:  # told to whoever asks for a tile
                self._error, self.share = error, 1.0

    def _fill(self) -> None:
        width, height = self.size
        side = min(_BAND, max(width, height))
        left = range(0, width, side)
        for y in range(0, height, side):
            bands = self._read(np.array([(x, y) for x in left]), self.downsample, (side, side))
            with self._lock:
                for x, band in zip(left, bands, strict=True):
                    inside = (0, 0, min(side, width - x), min(side, height - y))
                    self._picture.paste(Image.fromarray(band).crop(inside), (x, y))
            self.share = min((y + side) / height, 1.0)


def _padded(length: int) -> int:
    return 1 << (length - 1).bit_length()
