"""Flat images (PNG, JPEG, BMP, TIFF) as slides: read in bands where the format allows it, written as tiled pyramids."""

from __future__ import annotations

import contextlib
import errno
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from ats_mag.geometry.units import PLAUSIBLE_SLIDE_MPP, is_plausible_slide_mpp
from ats_mag.slides.errors import SlideError
from ats_mag.slides.writing.flat_tiff import StatedMpp, open_tiff, stated_mpp
from ats_mag.slides.writing.pixels import to_rgb
from ats_mag.slides.writing.pyramid import TileSource, write_pyramid
from ats_mag.slides.writing.source_stamp import SourceStamp, may_be_converted, read_stamp
from ats_mag.system.atomic_files import remove_unfinished

TIFF_SUFFIXES = (".tif", ".tiff")
SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", *TIFF_SUFFIXES)
TILE = 256
SMALLEST_LEVEL = 64  # pixels of the longer side: smaller levels save nothing

_SAME_MPP = 0.02  # share by which two resolutions may differ and still be the same
_DARKEST = 32  # of 255: a brightest pixel that only another white explains; 12 bits taken for 16 end at 16

_PNG_DEPTH = 24  # offset of the bit depth in a PNG file


@dataclass(frozen=True)
class Converted:
    """What became of one image.

    Attributes:
        image: the flat file.
        slide: the tiled file.
        status: `written`, `kept` where it was there, of the same image, or `failed`.
        mpp: um/px of level 0.
        mpp_source: `argument`, `TIFF XResolution`, `OME PhysicalSizeX` or `ImageJ unit`.
        size: (width, height) of level 0.
        error: why it failed, else None.
        overruled: what else the file states, where `mpp` is another by more than 2 %.
    """

    image: Path
    slide: Path
    status: str
    mpp: float
    mpp_source: str
    size: tuple[int, int] = (0, 0)
    error: str | None = None
    overruled: str = ""


def convert_image(
    image: str | os.PathLike[str],
    slide: str | os.PathLike[str],
    mpp: float | None = None,
    lossless: bool = False,
    white: int | None = None,
    overwrite: bool = False,
) -> Converted:
    """Writes a flat image as a slide of levels 1, 2, 4, 8 and 16, as far as these are of use.

    The slide appears under its name when it is complete. It states what it was made from (`SourceStamp`): one of the
    same bytes, options and resolution is kept, wherever and whenever they were made, so that an interrupted conversion of many
    images can be taken up again. One of another image, or that is none of ours, is not replaced. TIFF files are read in bands of rows; of other formats the whole picture is in memory. Alpha is laid on white, palettes are resolved, grey
    becomes three equal channels.

    Args:
        image: PNG, JPEG, BMP, or TIFF with one picture (further, smaller pages are left out).
        slide: the `.tiff` to write.
        mpp: um/px. None: what the TIFF file states.
        lossless: deflate instead of JPEG (quality 95, no chroma subsampling): larger and slower to read.
        white: value of white in images of 16 bits per channel, e.g. 65535 or 4095. Such images are refused without it, unless a
            TIFF file states it (10, 12 or 14 bits per sample, or `MaxSampleValue`), and with one that makes them black.
        overwrite: write the slide whatever is there.

    Raises:
        FileNotFoundError: no such image.
        FileExistsError: a slide of another image, or another file, is there.
        OSError: the slide cannot be written.
        SlideError: a damaged image, or one of a kind that is not handled; the message says which.
        ValueError: the resolution is neither given nor stated, or not plausible.
    """
    image, slide = Path(image), Path(slide)
    if not image.is_file():
        raise FileNotFoundError(f"image {str(image)!r} does not exist")
    if slide.exists() and slide.samefile(image):
        raise ValueError(f"the slide of image {str(image)!r} would replace it: write to another folder")
    with _opened(image, white) as (source, shape, stated):
        overruled = "" if mpp is None else _contradiction(mpp, stated)
        mpp, mpp_source = _resolution(image, mpp, stated)
        stamp = SourceStamp.of(image, lossless, white)
        if not overwrite and _is_done(image, slide, stamp, shape, mpp):
            return Converted(image, slide, "kept", mpp, mpp_source, (shape[1], shape[0]), overruled=overruled)
        remove_unfinished(slide.parent, slide.name)
        try:
            slide.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OSError(error.errno, f"the folder cannot be made: {error.strerror}", str(slide.parent)) from error
        downsamples = [d for d in (1, 2, 4, 8, 16) if d == 1 or max(shape) >= d * SMALLEST_LEVEL]
        options: dict[str, Any] = {"compression": "deflate"} if lossless else {"quality": 95, "subsampling": (1, 1)}
        if white is not None:
            source = _not_black(source, image, shape, white)
        write_pyramid(slide, source, mpp, downsamples, TILE, shape=shape, extra_tags=[stamp.tag()], **options)
    return Converted(image, slide, "written", mpp, mpp_source, (shape[1], shape[0]), overruled=overruled)


@contextlib.contextmanager
def _opened(image: Path, white: int | None) -> Iterator[tuple[TileSource, tuple[int, int], StatedMpp | None]]:
    """The image's tiles as `write_pyramid` asks for them, its (height, width), and the resolution that it states.

    What any decoder raises is said with the file's name.
    """
    try:
        if image.suffix.lower() in TIFF_SUFFIXES:
            with open_tiff(image, white) as tiff:
                yield tiff.tiles(TILE), tiff.shape, stated_mpp(tiff.file, tiff.page)
        else:
            pixels = _read_picture(image, white)
            yield _cutter(pixels), pixels.shape[:2], None
    except (SlideError, FileExistsError):
        raise
    except OSError as error:
        if error.errno in (None, errno.EIO):  # else it is not the image that is to blame
            raise SlideError(f"image {str(image)!r} cannot be read: {error}; is it complete?") from error
        raise
    except (tifffile.TiffFileError, SyntaxError, EOFError, IndexError) as error:
        raise SlideError(f"image {str(image)!r} cannot be read: {error}; is it complete?") from error
    except (ValueError, RuntimeError) as error:
        if str(image) in str(error):
            raise
        raise SlideError(f"image {str(image)!r} cannot be read: {error}; save it anew, as RGB of 8 bits") from error


def _read_picture(image: Path, white: int | None) -> np.ndarray:
    """`(H, W, 3)` uint8 from a PNG, JPEG or BMP file, turned as its EXIF orientation says."""
    from PIL import Image, ImageOps

    if image.suffix.lower() not in SUFFIXES:
        raise SlideError(f"image {str(image)!r} is none of {', '.join(SUFFIXES)}: save it as one of these")
    with image.open("rb") as file:
        head = file.read(_PNG_DEPTH + 1)
    if head.startswith(b"\x89PNG") and head[_PNG_DEPTH:] == b"\x10":
        import imagecodecs  # Pillow would cut the lower 8 bits off without a word

        return to_rgb(imagecodecs.png_decode(image.read_bytes()), str(image), white)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # large pictures are what this is for
        try:
            with Image.open(image) as opened:
                picture = ImageOps.exif_transpose(opened)
        except Image.DecompressionBombError as error:
            raise SlideError(
                f"image {str(image)!r} is too large to be read at once ({error}): save it as TIFF, which is read in bands"
            ) from error
    if picture.mode == "CMYK":
        raise SlideError(f"image {str(image)!r} is for printing (CMYK): save it as RGB")
    transparent = picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info
    return to_rgb(np.asarray(picture.convert("RGBA" if transparent else "RGB")), str(image), white)


def _cutter(pixels: np.ndarray) -> TileSource:
    return lambda row, column: pixels[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE]


def _not_black(source: TileSource, image: Path, shape: tuple[int, int], white: int) -> TileSource:
    """The same tiles; an error at the last one where all were so dark that `white` is that of other data."""
    last = (shape[0] - 1) // TILE, (shape[1] - 1) // TILE
    brightest = 0

    def cut(row: int, column: int) -> np.ndarray:
        nonlocal brightest
        pixels = source(row, column)
        brightest = max(brightest, int(pixels.max(initial=0)))
        if (row, column) == last and brightest < _DARKEST:
            raise SlideError(
                f"image {str(image)!r} is nearly black with {white} as white, its brightest value is about "
                f"{brightest * white // 255}: say its white (`--white 4095` for 12 bits)"
            )
        return pixels

    return cut


def _resolution(image: Path, mpp: float | None, stated: StatedMpp | None) -> tuple[float, str]:
    """um/px and where it is from."""
    mend = "give its true resolution (`--mpp`, um/px)"
    if mpp is not None:
        stated = (mpp, mpp, "argument")
    if stated is None:
        raise ValueError(f"the resolution of image {str(image)!r} is unknown: the file states none; {mend}")
    x, y, source = stated
    if not is_plausible_slide_mpp(x, y):
        low, high = PLAUSIBLE_SLIDE_MPP
        raise ValueError(
            f"the resolution of image {str(image)!r} is not plausible: {x:g} x {y:g} um/px from {source} "
            f"(expected {low} to {high:g}, x and y about equal); {mend}"
        )
    return (x + y) / 2, source


def _contradiction(mpp: float, stated: StatedMpp | None) -> str:
    """What the file states, where that is a resolution of slides and another one."""
    if stated is None or not is_plausible_slide_mpp(*stated[:2]):
        return ""
    of_file = (stated[0] + stated[1]) / 2
    same = abs(mpp - of_file) <= _SAME_MPP * of_file
    return "" if same else f", over the {of_file:.4g} um/px that the file states ({stated[2]})"


def _is_done(image: Path, slide: Path, stamp: SourceStamp, shape: tuple[int, int], mpp: float) -> bool:
    if not slide.exists():
        return False
    try:
        with tifffile.TiffFile(slide) as file:
            page, found = file.pages.first.aspage(), stated_mpp(file)
            made, ours = read_stamp(page), may_be_converted(page)
            same_size = page.shape == (*shape, 3)
    except (tifffile.TiffFileError, OSError, ValueError):
        return False  # damaged, and so of no use to anybody
    mend = f"convert {str(image)!r} into another folder, or give `--overwrite`"
    if made is None and not ours:
        raise FileExistsError(f"{str(slide)!r} is there and was not made by converting an image: {mend}")
    if made is not None and not made.same_image(stamp) and made.place != stamp.place:
        raise FileExistsError(f"{str(slide)!r} was made from another image than {str(image)!r}: {mend}")
    asked_alike = (
        made is not None and made.same_image(stamp) and (made.lossless, made.white) == (stamp.lossless, stamp.white)
    )
    return asked_alike and same_size and found is not None and abs(found[0] - mpp) <= 1e-3 * mpp
