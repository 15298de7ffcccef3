"""What can befall a slide's file: each mishap takes a sound slide's path."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from ats_mag.slides.writing.pyramid import write_pyramid


def _cut(path: Path, share: float) -> None:
    os.truncate(path, int(path.stat().st_size * share))


def _zero_tiles(path: Path) -> None:
    with tifffile.TiffFile(path) as tiff:
        tiles = [pair for page in tiff.pages for pair in zip(page.dataoffsets, page.databytecounts, strict=True)]
    with path.open("r+b") as file:
        for offset, count in tiles:
            file.seek(offset)
            file.write(bytes(count))


def _replace(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _picture(path: Path) -> None:
    Image.new("RGB", (300, 200), "pink").save(path, format="png")


def forget_resolution(path: Path) -> None:
    """Takes the unit of the resolution out of a file."""
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        for page in tiff.pages:
            page.tags["ResolutionUnit"].overwrite(1)


MISHAPS: dict[str, Callable[[Path], object]] = {
    "missing": Path.unlink,
    "empty": lambda path: _replace(path, b""),
    "text": lambda path: _replace(path, b"the slide is on the other disk\n"),
    "header only": lambda path: os.truncate(path, 100),
    "cut in half": lambda path: _cut(path, 0.5),
    "tiles zeroed": _zero_tiles,
    "a folder": _folder,
    "no tissue": lambda path: write_pyramid(path, np.full((2000, 2000, 3), 250, np.uint8), 0.5, (1, 4)),
    "a picture": _picture,
    "absurd resolution": lambda path: write_pyramid(path, np.full((2000, 2000, 3), 180, np.uint8), 200.0, (1, 4)),
}
UNKNOWN_RESOLUTION = "no resolution"
