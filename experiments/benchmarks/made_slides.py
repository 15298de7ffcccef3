"""Slides made for the benchmarks, of the kinds that scanners write: their content costs what real tissue costs.

The content is scikit-image's stained tissue, turned, tinted and with a sensor's noise, so that no two tiles are alike
and a JPEG tile of 256 pixels has some 20 kB, as a scanner's at quality 90 has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from skimage.data import immunohistochemistry

from ats_mag.slides.writing.pyramid import write_pyramid

NOISE = 3.0  # standard deviation, in grey levels
MPP = 0.25
QUALITY = 90
APERIO_QUALITY = 45  # Aperio's own slides have 30 to 70
DECIBELS = 36  # of JPEG 2000: some 15 kB a tile, as in TCGA's slides

Encode = Callable[[np.ndarray], bytes]


def tissue(side: int, seed: int = 0) -> np.ndarray:
    """Stained tissue, `(side, side, 3)` uint8."""
    rng = np.random.default_rng(seed)
    photograph = immunohistochemistry()
    block = photograph.shape[0]
    noise = rng.normal(0, NOISE, (2 * block, 2 * block, 1)).astype(np.float32)
    image = np.empty((side, side, 3), np.uint8)
    for row in range(0, side, block):
        for column in range(0, side, block):
            turned = np.rot90(photograph, rng.integers(4))[:: rng.choice((-1, 1))]
            y, x = rng.integers(block, size=2)
            tinted = turned * rng.uniform(0.9, 1.05, 3).astype(np.float32) + noise[y : y + block, x : x + block]
            place = image[row : row + block, column : column + block]
            place[:] = np.clip(tinted, 0, 255)[: place.shape[0], : place.shape[1]]
    return image


def tiff(path: Path, image: np.ndarray) -> Path:
    """A plain tiled JPEG pyramid: YCbCr with halved colours, tiles of 256, levels 1, 4, 16."""
    return write_pyramid(path, image, MPP, (1, 4, 16), quality=QUALITY)


def aperio_jpeg(path: Path, image: np.ndarray) -> Path:
    """As Aperio's scanners write: RGB in JPEG without a change of colours, tables shared, tiles of 240, levels 1, 4, 16."""
    first = _rgb_jpeg(image[:240, :240])
    tables, _ = split_tables(first)
    levels = averaged_levels(image, (1, 4, 16))
    _write_aperio(
        path, levels, 240, lambda tile: split_tables(_rgb_jpeg(tile))[1], 7, f"JPEG/RGB Q={APERIO_QUALITY}", tables
    )
    return path


def aperio_jpeg_2000(path: Path, image: np.ndarray) -> Path:
    """As Aperio's scanners write on demand: JPEG 2000 in RGB, tiles of 256, levels 1, 2, 4."""

    def encode(tile: np.ndarray) -> bytes:
        return imagecodecs.jpeg2k_encode(tile, level=DECIBELS, codecformat="j2k", reversible=False)

    _write_aperio(path, averaged_levels(image, (1, 2, 4)), 256, encode, 33005, f"J2K/KDU Q={DECIBELS}", None)
    return path


def split_tables(stream: bytes) -> tuple[bytes, bytes]:
    """A JPEG stream's tables as a stream of their own, and the stream without them, as TIFF shares them."""
    tables, rest = bytearray(b"\xff\xd8"), bytearray(b"\xff\xd8")
    for marker, segment in _segments(stream):
        (tables if marker in (0xDB, 0xC4) else rest).extend(segment)
    return bytes(tables + b"\xff\xd9"), bytes(rest)


def _segments(stream: bytes) -> Iterator[tuple[int, bytes]]:
    """Markers of a JPEG stream after its start with their segments; the last one goes on to the stream's end."""
    at = 2
    while stream[at + 1] != 0xDA:  # start of scan
        length = 2 + int.from_bytes(stream[at + 2 : at + 4], "big")
        yield stream[at + 1], stream[at : at + length]
        at += length
    yield 0xDA, stream[at:]


def _rgb_jpeg(tile: np.ndarray) -> bytes:
    """JPEG of plain RGB, whose stream does not say so: Aperio's have no Adobe marker, and components 0, 1, 2."""
    stream = imagecodecs.jpeg8_encode(
        tile, level=APERIO_QUALITY, colorspace="rgb", outcolorspace="rgb", subsampling="444", optimize=False
    )
    plain = bytearray(b"\xff\xd8")
    for marker, segment in _segments(stream):
        edited = bytearray(segment)
        first, step = {0xC0: (10, 3), 0xDA: (5, 2)}.get(marker, (0, 0))  # where components are named
        for component in range(3 if step else 0):
            edited[first + step * component] = component
        if marker not in (0xE0, 0xEE):  # JFIF's and Adobe's markers
            plain.extend(edited)
    return bytes(plain)


def averaged_levels(image: np.ndarray, downsamples: Sequence[int]) -> dict[int, np.ndarray]:
    """The image and its area averages."""
    levels = {}
    for downsample in downsamples:
        height, width = (side // downsample for side in image.shape[:2])
        level = np.empty((height, width, 3), np.uint8)
        for row in range(height):  # as sums of the whole image would need four times its memory
            rows = image[row * downsample : (row + 1) * downsample, : width * downsample]
            level[row] = rows.reshape(downsample, width, downsample, 3).mean((0, 2), dtype=np.float32) + 0.5
        levels[downsample] = image if downsample == 1 else level
    return levels


def _write_aperio(
    path: Path,
    levels: dict[int, np.ndarray],
    side: int,
    encode: Encode,
    compression: int,
    name: str,
    tables: bytes | None,
) -> None:
    """Writes level 0, a thumbnail, then the other levels, in Aperio's order."""
    height, width = levels[1].shape[:2]
    coarsest = levels[max(levels)]

    def described(level: np.ndarray, more: str = "") -> dict[str, Any]:
        size = f"{width}x{height} {more}" + ("" if level is levels[1] else f"-> {level.shape[1]}x{level.shape[0]} ")
        words = f"Aperio Image Library v11.2.1 \r\n{size}{name}|AppMag = 40|MPP = {MPP}"
        return {"description": words, "metadata": None, "software": False, "photometric": "rgb"}

    with tifffile.TiffWriter(path) as writer, ThreadPoolExecutor() as pool:
        for level in levels.values():
            writer.write(
                _encoded(pool, level, side, encode),
                shape=level.shape,
                dtype=np.uint8,
                tile=(side, side),
                compression=compression,
                compressionargs={"outcolorspace": "rgb"} if tables else None,
                subsampling=(1, 1),
                jpegtables=tables,
                **described(level, f"({side}x{side}) "),
            )
            if level is levels[1]:
                writer.write(coarsest, compression="jpeg", **described(coarsest))


def _encoded(pool: ThreadPoolExecutor, image: np.ndarray, side: int, encode: Encode) -> Iterable[bytes]:
    def one(corner: tuple[int, int]) -> bytes:
        row, column = corner
        tile = image[row : row + side, column : column + side]
        short = (side - tile.shape[0], side - tile.shape[1])
        return encode(np.ascontiguousarray(np.pad(tile, ((0, short[0]), (0, short[1]), (0, 0)), mode="edge")))

    height, width = image.shape[:2]
    for row in range(0, height, side):  # a row at a time: the pool would take up every tile at once
        yield from pool.map(one, [(row, column) for column in range(0, width, side)])
