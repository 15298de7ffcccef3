"""Writes tiled pyramidal TIFF files that OpenSlide reads: flat images become slides, made slides reach the disk."""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import tifffile

from ats_mag.system.atomic_files import whole_file

_LARGEST_CLASSIC_TIFF = 3.5e9  # bytes; offsets in a classic TIFF end at 4 GiB

TileSource = Callable[[int, int], np.ndarray]


def write_pyramid(
    path: str | os.PathLike[str],
    image: np.ndarray | TileSource,
    mpp: float,
    downsamples: Sequence[int] = (1, 4, 16),
    tile: int = 256,
    compression: str | None = "jpeg",
    quality: int = 90,
    subsampling: tuple[int, int] = (2, 2),
    shape: tuple[int, int] | None = None,
    edit_level: Callable[[int, np.ndarray], None] | None = None,
    extra_tags: Sequence[tuple[int, str, int, Any, bool]] = (),
) -> Path:
    """Writes an image as a slide, which OpenSlide opens as "generic-tiff" with its resolution.

    A pixel of a lower level is the mean of the square of level-0 pixels it covers, rounded half up. As in vendors'
    files, a lower level has `side // downsample` pixels a side; levels without any are left out. The file appears
    under its name when it is complete.

    Args:
        path: the file to write. An existing one is replaced.
        image: `(H, W, 3)` uint8, or anything that is sliced like it (a memory map); or, for an image too large for
            memory, a function (row, column) -> tile of level 0, `(tile, tile, 3)` uint8 or less at the right and
            bottom edge, called once per tile, row by row.
        mpp: resolution of level 0, um/px.
        downsamples: of the levels: 1 first, rising, each a divisor of `tile`.
        tile: side of a tile in pixels, a multiple of 16.
        compression: "jpeg", "deflate", "lzw" or None.
        quality: of JPEG, 1 to 100.
        subsampling: of JPEG's colours, horizontally and vertically: (1, 1) or (2, 2).
        shape: (H, W), needed with a function.
        edit_level: called with the downsample and the pixels of each lower level before it is written; may change them
            in place. For made slides whose levels differ in what they show.
        extra_tags: further TIFF tags of level 0, as of `tifffile.TiffWriter.write`.

    Returns:
        The path.

    Raises:
        ValueError: an argument is not as described.
    """
    path, mpp = Path(path), float(mpp)  # tifffile takes no numbers of NumPy
    source, height, width = _tile_source(image, shape, tile)
    _check(mpp, downsamples, tile, compression, quality)
    downsamples = [downsample for downsample in downsamples if min(height, width) >= downsample]
    options: dict[str, Any] = {"tile": (tile, tile), "metadata": None, "photometric": "rgb"}
    if compression == "jpeg":
        options |= {"subsampling": subsampling, "compressionargs": {"level": quality}}  # stored as YCbCr
    raw_bytes = sum(3 * height * width / downsample**2 for downsample in downsamples)
    with (
        whole_file(path) as unfinished,
        tempfile.TemporaryFile(dir=path.parent) as scratch,
        tifffile.TiffWriter(unfinished, bigtiff=raw_bytes > _LARGEST_CLASSIC_TIFF) as tiff,
    ):
        lower = _lower_levels(scratch, height, width, downsamples[1:])
        for level, downsample in enumerate(downsamples):
            if level == 0:
                size = (height, width)
                tiles = _collect(_tiles(source, height, width, tile), lower, width, tile)
            else:
                size = lower[downsample].shape[:2]
                if edit_level is not None:
                    edit_level(downsample, lower[downsample])
                tiles = _tiles(_tile_source(lower[downsample], None, tile)[0], *size, tile)
            tiff.write(
                tiles,
                shape=(*size, 3),
                dtype=np.uint8,
                compression=compression,
                subfiletype=min(level, 1),  # lower levels are marked as reduced images, or OpenSlide skips them
                resolution=(1e4 / (mpp * downsample),) * 2,
                resolutionunit="CENTIMETER",
                extratags=extra_tags if level == 0 else (),
                **options,
            )
    return path


def _check(mpp: float, downsamples: Sequence[int], tile: int, compression: str | None, quality: int) -> None:
    if not 0 < mpp < float("inf"):
        raise ValueError(f"`mpp` must be positive, in um/px. Received: mpp={mpp}")
    if tile < 16 or tile % 16:
        raise ValueError(f"`tile` must be a multiple of 16. Received: tile={tile}")
    rising = list(downsamples) == sorted(set(downsamples))
    if not rising or list(downsamples[:1]) != [1] or any(tile % downsample for downsample in downsamples):
        raise ValueError(
            f"`downsamples` must start with 1, rise, and divide the tile's side. Received: {downsamples=}, {tile=}"
        )
    if compression not in ("jpeg", "deflate", "lzw", None):
        raise ValueError(f'`compression` must be "jpeg", "deflate", "lzw" or None. Received: {compression=}')
    if not 1 <= quality <= 100:
        raise ValueError(f"`quality` must be 1 to 100. Received: {quality=}")


def _tile_source(
    image: np.ndarray | TileSource, shape: tuple[int, int] | None, tile: int
) -> tuple[TileSource, int, int]:
    """The image as a function (row, column) -> tile, and its height and width."""
    if callable(image):
        if shape is None or min(shape) < 1:
            raise ValueError(f"`shape` must be (H, W) of level 0 when `image` is a function. Received: {shape=}")
        return image, *shape
    if getattr(image, "ndim", 0) != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or min(image.shape) < 1:
        received = f"{image.dtype} of shape {image.shape}" if hasattr(image, "shape") else repr(type(image))
        raise ValueError(f"`image` must be (H, W, 3) uint8. Received: {received}")

    def cut(row: int, column: int) -> np.ndarray:
        return np.asarray(image[row * tile : (row + 1) * tile, column * tile : (column + 1) * tile])

    return cut, image.shape[0], image.shape[1]


def _tiles(source: TileSource, height: int, width: int, tile: int) -> Iterator[np.ndarray]:
    """All tiles row by row, those at the edge filled up with their last pixels, as white would ring in JPEG."""
    for row in range(-(-height // tile)):
        for column in range(-(-width // tile)):
            pixels = source(row, column)
            inside = (min(tile, height - row * tile), min(tile, width - column * tile))
            if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.shape[:2] < inside:
                raise ValueError(
                    f"a tile must be (tile, tile, 3) uint8. Received at ({row}, {column}): "
                    f"{pixels.dtype} of shape {pixels.shape}"
                )
            pixels = pixels[: inside[0], : inside[1]]
            if inside != (tile, tile):
                pixels = np.pad(pixels, ((0, tile - inside[0]), (0, tile - inside[1]), (0, 0)), mode="edge")
            yield np.ascontiguousarray(pixels)


def _lower_levels(scratch: BinaryIO, height: int, width: int, downsamples: Sequence[int]) -> dict[int, np.ndarray]:
    """Room for the lower levels on disk: they are made while level 0 is written, and written after it."""
    levels: dict[int, np.ndarray] = {}
    offset = 0
    for downsample in downsamples:
        size = (height // downsample, width // downsample, 3)
        levels[downsample] = np.memmap(scratch, np.uint8, "w+", offset, size)
        offset += int(np.prod(size))
    return levels


def _collect(tiles: Iterator[np.ndarray], lower: dict[int, np.ndarray], width: int, tile: int) -> Iterator[np.ndarray]:
    """Passes level 0's tiles on and puts their area averages into the lower levels."""
    across = -(-width // tile)
    for index, pixels in enumerate(tiles):
        row, column = divmod(index, across)
        for downsample, level in lower.items():
            side = tile // downsample
            # Sums are exact; rows first, as their inner axis is contiguous.
            sums = pixels.reshape(side, downsample, tile * 3).sum(1, dtype=np.uint32)
            sums = sums.reshape(side, side, downsample, 3).sum(2, dtype=np.uint32)
            area = downsample**2
            place = level[row * side : (row + 1) * side, column * side : (column + 1) * side]
            place[:] = ((sums + area // 2) // area)[: place.shape[0], : place.shape[1]]
        yield pixels
