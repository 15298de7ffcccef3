"""Slides of any size in a file of a few megabytes: many places of the slide show the same few hundred encoded tiles.

A slide of 12.8 gigapixels takes hours to encode. Reading it costs what its tiles cost to fetch and decode, and a TIFF
says of each tile where in the file it begins: nothing keeps two tiles from beginning at the same byte. So a few hundred
JPEG tiles of stained tissue are stored once, and every level's table of offsets draws from them at random. The file is
a valid BigTIFF that libtiff, OpenSlide and tifffile read; to them all tiles differ, so each is decoded on its own. Two
things are not as in a scan: the whole file stays in the file system's cache, and the levels do not show the same tissue.

    python -m experiments.benchmarks.giant_slides slide.tiff --side 113152
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import imagecodecs
import numpy as np

from experiments.benchmarks import made_slides
from experiments.common.arguments import new_parser

TILE = 256
STORED_SIDE = 16  # so many tiles a side are stored
SHORT, LONG, RATIONAL, LONG8 = 3, 4, 5, 16
FORMATS = {SHORT: "H", LONG: "I", RATIONAL: "I", LONG8: "Q"}

Tag = tuple[int, int, Sequence[int]]


def write_giant(
    path: Path, side: int, mpp: float = 0.5, downsamples: Sequence[int] = (1, 4, 16), seed: int = 0
) -> Path:
    """Writes a square slide, `side` pixels wide, JPEG at quality 90 in tiles of 256; returns the path."""
    rng = np.random.default_rng(seed)
    with path.open("wb") as file:
        file.write(
            struct.pack("<2sHHHQ", b"II", 43, 8, 0, 0)
        )  # BigTIFF, 8-byte offsets; the first directory is set below
        stored = []
        for tile in _stored_tiles(seed):
            stored.append((file.tell(), len(tile)))
            file.write(tile)
        places = np.array(stored, np.int64)
        link = 8  # where the offset of the next directory goes
        for downsample in downsamples:
            width = side // downsample
            tiles = places[rng.integers(len(places), size=(-(-width // TILE)) ** 2)]
            link = _append_directory(file, link, _tags(width, mpp * downsample, downsample > 1, tiles))
    return path


def _stored_tiles(seed: int) -> list[bytes]:
    image = made_slides.tissue(STORED_SIDE * TILE, seed)
    corners = [(y, x) for y in range(0, image.shape[0], TILE) for x in range(0, image.shape[1], TILE)]
    return [
        imagecodecs.jpeg8_encode(
            np.ascontiguousarray(image[y : y + TILE, x : x + TILE]), level=made_slides.QUALITY, subsampling="420"
        )
        for y, x in corners
    ]


def _tags(width: int, mpp: float, reduced: bool, tiles: np.ndarray) -> list[Tag]:
    """A directory's entries, in the order of their numbers."""
    per_centimetre = (round(1e8 / mpp), 10_000)
    return [
        (254, LONG, [int(reduced)]),  # a level of lower resolution
        (256, LONG, [width]),
        (257, LONG, [width]),
        (258, SHORT, [8, 8, 8]),
        (259, SHORT, [7]),  # JPEG
        (262, SHORT, [6]),  # YCbCr
        (277, SHORT, [3]),
        (282, RATIONAL, per_centimetre),
        (283, RATIONAL, per_centimetre),
        (284, SHORT, [1]),
        (296, SHORT, [3]),  # per centimetre
        (322, LONG, [TILE]),
        (323, LONG, [TILE]),
        (324, LONG8, tiles[:, 0].tolist()),
        (325, LONG, tiles[:, 1].tolist()),
        (530, SHORT, [2, 2]),
        (532, RATIONAL, [0, 1, 255, 1, 128, 1, 255, 1, 128, 1, 255, 1]),
    ]


def _append_directory(file: BinaryIO, link: int, tags: list[Tag]) -> int:
    """Writes a directory after its values and links it from `link`; returns where the next one is to be linked."""
    entries = b""
    for number, kind, values in tags:
        data = struct.pack(f"<{len(values)}{FORMATS[kind]}", *values)
        if len(data) > 8:  # too long for the entry, which then says where
            file.seek(-(-file.tell() // 8) * 8)
            place = struct.pack("<Q", file.tell())
            file.write(data)
        else:
            place = data.ljust(8, b"\0")
        count = len(values) // 2 if kind == RATIONAL else len(values)
        entries += struct.pack("<HHQ", number, kind, count) + place
    start = -(-file.tell() // 8) * 8
    file.seek(start)
    file.write(struct.pack("<Q", len(tags)) + entries + struct.pack("<Q", 0))
    end = file.tell()
    file.seek(link)
    file.write(struct.pack("<Q", start))
    file.seek(end)
    return end - 8


def main() -> None:
    parser = new_parser("benchmarks.giant_slides", __doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--side", type=int, required=True, help="pixels of level 0 a side")
    parser.add_argument("--mpp", type=float, default=0.5)
    options = parser.parse_args()
    print(write_giant(options.path, options.side, options.mpp), f"{options.path.stat().st_size / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
