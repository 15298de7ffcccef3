"""Flat TIFF files, read in bands of rows so that their size is bounded by the disk alone."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile

from ats_mag.slides.errors import SlideError
from ats_mag.slides.writing.pixels import to_rgb

_HANDLED: dict[int, tuple[int, ...]] = {
    tifffile.PHOTOMETRIC.MINISWHITE: (1, 2),
    tifffile.PHOTOMETRIC.MINISBLACK: (1, 2),
    tifffile.PHOTOMETRIC.RGB: (3, 4),
    tifffile.PHOTOMETRIC.YCBCR: (3,),
    tifffile.PHOTOMETRIC.PALETTE: (1,),
}  # kind of picture -> samples per pixel
_MICROMETRES = {"µm": 1.0, "um": 1.0, "micron": 1.0, "microns": 1.0, "\\u00b5m": 1.0, "mm": 1e3, "nm": 1e-3}


StatedMpp = tuple[float, float, str]  # um/px along x and y, and which entry of the file says so


@dataclass(frozen=True)
class FlatTiff:
    """The one picture of an open TIFF file.

    Attributes:
        file: the open file.
        page: the picture.
        shape: its (height, width).
        white: value of white in pictures of more than 8 bits.
    """

    file: tifffile.TiffFile
    page: tifffile.TiffPage
    shape: tuple[int, int]
    white: int | None

    def tiles(self, tile: int) -> Callable[[int, int], np.ndarray]:
        """A function (row, column) -> tile, to be called row by row; no more than the strips of one row are held."""
        bands = self._bands()
        band, top = np.empty((0, self.shape[1], 3), np.uint8), 0

        def cut(row: int, column: int) -> np.ndarray:
            nonlocal band, top
            needed = min((row + 1) * tile, self.shape[0])
            if row * tile > top:
                band, top = band[row * tile - top :], row * tile
            parts = [band]
            held = top + len(band)
            while held < needed:
                parts.append(next(bands))
                held += len(parts[-1])
            if len(parts) > 1:
                band = np.concatenate(parts)
            return band[: needed - top, column * tile : (column + 1) * tile]

        return cut

    def _bands(self) -> Iterator[np.ndarray]:
        """Rows of strips or tiles, from the top, as RGB."""
        page = self.page
        if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE and page.samplesperpixel > 1:
            yield self._rgb(np.moveaxis(page.asarray(), 0, -1))  # the planes lie one behind the other
            return
        height, width = self.shape
        if page.is_tiled:
            rows, across = page.tilelength, -(-width // page.tilewidth)
        else:
            rows, across = min(page.rowsperstrip or height, height), 1
        tables = {"jpegtables": page.jpegtables, "jpegheader": page.jpegheader}
        for band in range(-(-height // rows)):
            pieces = []
            for index in range(band * across, (band + 1) * across):
                pixels = page.decode(self._segment(index), index, **tables)[0]
                if pixels is None:
                    raise SlideError(f"image {self.file.filehandle.path!r} lacks its part {index}: copy it again")
                pieces.append(pixels[0])
            yield self._rgb(np.concatenate(pieces, axis=1)[: height - band * rows, :width])

    def _segment(self, index: int) -> bytes | None:
        count = self.page.databytecounts[index]
        if not count:
            return None
        self.file.filehandle.seek(self.page.dataoffsets[index])
        data: bytes = self.file.filehandle.read(count)
        if len(data) < count:
            raise SlideError(f"image {self.file.filehandle.path!r} ends in its part {index}: copy it again")
        return data

    def _rgb(self, pixels: np.ndarray) -> np.ndarray:
        page = self.page
        return to_rgb(
            pixels,
            self.file.filehandle.path,
            self.white,
            palette=page.colormap if page.photometric == tifffile.PHOTOMETRIC.PALETTE else None,
            inverted=page.photometric == tifffile.PHOTOMETRIC.MINISWHITE,
            premultiplied=tuple(page.extrasamples) == (tifffile.EXTRASAMPLE.ASSOCALPHA,),
        )


@contextlib.contextmanager
def open_tiff(path: Path, white: int | None) -> Iterator[FlatTiff]:
    """Opens the one picture of a TIFF file: of several pages, the largest.

    Raises:
        SlideError: several pictures of that size, a turned one, or one of colours that are not handled.
    """
    with tifffile.TiffFile(path) as file:
        pages = [page.aspage() for page in file.pages]
        sizes = [(page.imagelength, page.imagewidth) for page in pages]
        size = max(sizes, key=lambda size: size[0] * size[1])
        page = pages[sizes.index(size)]
        if sizes.count(size) > 1:
            raise SlideError(
                f"image {str(path)!r} holds several pictures of the same size, a stack or single channels: "
                "save it as one RGB picture"
            )
        samples = page.samplesperpixel
        if samples not in _HANDLED.get(page.photometric, ()) or getattr(page, "imagedepth", 1) > 1:
            kind = getattr(page.photometric, "name", str(page.photometric))
            raise SlideError(f"image {str(path)!r} has {samples} samples of kind {kind} per pixel: save it as RGB")
        if samples in (2, 4) and tuple(page.extrasamples) not in (
            (tifffile.EXTRASAMPLE.ASSOCALPHA,),
            (tifffile.EXTRASAMPLE.UNASSALPHA,),
        ):
            raise SlideError(f"image {str(path)!r} has a channel of unknown meaning beside its colours: save it as RGB")
        orientation = page.tags.get("Orientation")
        if orientation is not None and orientation.value != 1:
            raise SlideError(
                f"image {str(path)!r} is stored turned or mirrored (Orientation {orientation.value}): turn it"
            )
        yield FlatTiff(file, page, size, _stated_white(page) if white is None else white)


def _stated_white(page: tifffile.TiffPage) -> int | None:
    """Value of white where the file tells it: of 10, 12 or 14 bits stored as such, or with their largest value."""
    bits = page.bitspersample
    if isinstance(bits, int) and 8 < bits < 16:
        return 2**bits - 1
    stated = page.tags.valueof("MaxSampleValue")
    values = stated if isinstance(stated, tuple) else (stated,)
    known = [value for value in values if isinstance(value, int) and 255 < value < 2**16 - 1]  # 65535 is the default
    return max(known) if bits == 16 and len(known) == len(values) else None


def stated_mpp(file: tifffile.TiffFile, page: tifffile.TiffPage | None = None) -> StatedMpp | None:
    """The resolution that a TIFF file states of a page: um/px in x and y, and where; None where it states none.

    Args:
        file: the open file.
        page: whose resolution; None: the first.
    """
    page = file.pages.first.aspage() if page is None else page
    size = (str(page.imagewidth), str(page.imagelength))
    if file.is_ome and (found := _ome_mpp(file.ome_metadata or "", size)) is not None:
        return found
    tags = page.tags
    values = [tags.valueof(name) for name in ("XResolution", "YResolution")]
    if any(not value or not value[0] or not value[1] for value in values):
        return None
    per_pixel = [denominator / numerator for numerator, denominator in values]
    if file.is_imagej:
        unit = _MICROMETRES.get(str((file.imagej_metadata or {}).get("unit", "")).lower())
        return None if unit is None else (per_pixel[0] * unit, per_pixel[1] * unit, "ImageJ unit")
    unit = {2: 2.54e4, 3: 1e4}.get(tags.valueof("ResolutionUnit", 2))  # inch is the default of TIFF 6.0
    return None if unit is None else (per_pixel[0] * unit, per_pixel[1] * unit, "TIFF XResolution")


def _ome_mpp(description: str, size: tuple[str, str]) -> StatedMpp | None:
    """Of the picture of that (width, height), where several are described."""
    pictures = re.findall(r"<(?:\w+:)?Pixels\s[^>]*>", description)
    described = [dict(re.findall(r'((?:PhysicalSize|Size)[XY](?:Unit)?)="([^"]*)"', text)) for text in pictures]
    of_size = [found for found in described if (found.get("SizeX"), found.get("SizeY")) == size]
    chosen = of_size or (described if len(described) == 1 else [])
    stated = chosen[0] if chosen else {}
    sizes = []
    for axis in "XY":
        unit = _MICROMETRES.get(stated.get(f"PhysicalSize{axis}Unit", "µm"))
        if unit is None or f"PhysicalSize{axis}" not in stated:
            return None
        sizes.append(float(stated[f"PhysicalSize{axis}"]) * unit)
    return sizes[0], sizes[1], "OME PhysicalSizeX"
