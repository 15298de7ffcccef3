"""Small sound slides of every kind that is read: what the mutations start from."""

import functools
import io
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import skimage.data
from PIL import Image as Picture

from ats_mag.slides.writing.pyramid import write_pyramid

from . import tiff
from .jpeg import without_tables

_JPEG, _DEFLATE, _APERIO_JPEG2000 = 7, 8, 33005
_RGB, _YCBCR = 2, 6
_APERIO = b"Aperio Image Library v11.2.1\n300x260 [0,0 300x260] (32x32) JPEG/RGB Q=90|AppMag = 20|MPP = 0.4990\0"

Encoder = Callable[[np.ndarray], bytes]


def jpeg(pixels: np.ndarray, **options) -> bytes:
    """A JPEG stream with the standard Huffman tables, so that the tiles of an image may share them."""
    stream = io.BytesIO()
    Picture.fromarray(pixels).save(stream, "jpeg", quality=90, **options)
    return stream.getvalue()


def _other_jpeg(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Picture.fromarray(pixels).save(stream, "jpeg", quality=40, optimize=True)
    return stream.getvalue()


def _rgb_jpeg(pixels: np.ndarray) -> bytes:
    """A stream whose components are red, green and blue, as Aperio's scanners write it."""
    return imagecodecs.jpeg8_encode(pixels, level=90, colorspace="RGB", outcolorspace="RGB")


def _jpeg2000(pixels: np.ndarray) -> bytes:
    return imagecodecs.jpeg2k_encode(pixels, level=40, codecformat="j2k")


def _tiles(pixels: np.ndarray, side: int) -> list[np.ndarray]:
    height, width = pixels.shape[:2]
    padded = np.pad(pixels, ((0, -height % side), (0, -width % side), (0, 0)), mode="edge")
    return [
        np.ascontiguousarray(padded[y : y + side, x : x + side])
        for y in range(0, padded.shape[0], side)
        for x in range(0, padded.shape[1], side)
    ]


def _level(
    pixels: np.ndarray,
    side: int,
    encode: Encoder,
    compression: int,
    photometric: int,
    reduced: bool,
    tables: bool = False,
    description: bytes = b"",
) -> tiff.Image:
    chunks = [encode(tile) for tile in _tiles(pixels, side)]
    tags: dict[int, tuple[int, list[int] | bytes]] = {
        254: (tiff.LONG, [int(reduced)]),
        256: (tiff.LONG, [pixels.shape[1]]),
        257: (tiff.LONG, [pixels.shape[0]]),
        258: (tiff.SHORT, [8, 8, 8]),
        259: (tiff.SHORT, [compression]),
        262: (tiff.SHORT, [photometric]),
        277: (tiff.SHORT, [3]),
        282: (tiff.RATIONAL, [20000, 1]),
        283: (tiff.RATIONAL, [20000, 1]),
        284: (tiff.SHORT, [1]),
        296: (tiff.SHORT, [3]),
        322: (tiff.SHORT, [side]),
        323: (tiff.SHORT, [side]),
    }
    if photometric == _YCBCR:
        tags[530] = (tiff.SHORT, [2, 2])
    if tables:
        chunks, (first, *_) = zip(*map(without_tables, chunks), strict=True)
        tags[tiff.JPEG_TABLES] = (tiff.UNDEFINED, first)
    if description:
        tags[270] = (tiff.ASCII, description)
    return tiff.Image(tags, list(chunks))


def _pyramid(image: np.ndarray, downsamples: tuple[int, ...], side: int, *how, **options) -> list[tiff.Image]:
    return [
        _level(image[::downsample, ::downsample], side, *how, reduced=downsample > 1, **options)
        for downsample in downsamples
    ]


def _thumbnail(image: np.ndarray) -> tiff.Image:
    """The image in strips that Aperio's files hold between their levels."""
    small = np.ascontiguousarray(image[::8, ::8])
    tags = {
        256: (tiff.LONG, [small.shape[1]]),
        257: (tiff.LONG, [small.shape[0]]),
        258: (tiff.SHORT, [8, 8, 8]),
        259: (tiff.SHORT, [1]),
        262: (tiff.SHORT, [_RGB]),
        270: (tiff.ASCII, _APERIO),
        277: (tiff.SHORT, [3]),
        278: (tiff.LONG, [small.shape[0]]),
        284: (tiff.SHORT, [1]),
    }
    return tiff.Image(tags, [small.tobytes()], stripped=True)


def _aperio(image: np.ndarray, *how, **options) -> list[tiff.Image]:
    first, second = _pyramid(image, (1, 4), 32, *how, description=_APERIO, **options)
    return [first, _thumbnail(image), second]


def made_seeds() -> dict[str, bytes]:
    """Name -> file. All of them open, and every pixel can be read."""
    images = _images()
    seeds = {}
    for name, directories in images.items():
        seeds[name] = tiff.write(directories)
        seeds[f"{name}-big"] = tiff.write(directories, big=True)
        seeds[f"{name}-msb-big"] = tiff.write(directories, order=">", big=True)
    with tempfile.TemporaryDirectory() as folder:
        path = write_pyramid(Path(folder, "seed.tif"), _picture(), 0.5, downsamples=(1, 2, 4), tile=64)
        seeds["written"] = path.read_bytes()
    return seeds


def other_sound() -> bytes:
    """A sound slide whose JPEG tables are none of those above: what a decoder must not keep for the next slide."""
    return tiff.write(_pyramid(_picture(), (1, 2, 4), 64, _other_jpeg, _JPEG, _YCBCR))


def refused_seeds() -> dict[str, bytes]:
    """Sound files that OpenSlide 4.0 does not know: it takes classic TIFF for damaged when the order is big-endian."""
    images = _images()
    return {f"{name}-msb": tiff.write(images[name], order=">") for name in ("ycbcr-tables", "aperio-ycbcr")}


def _picture() -> np.ndarray:
    return np.ascontiguousarray(skimage.data.immunohistochemistry()[100:360, 60:360])


@functools.cache
def _images() -> dict[str, list[tiff.Image]]:
    image = _picture()
    small = np.ascontiguousarray(image[:80, :96])
    ycbcr, rgb, deflate = (jpeg, _JPEG, _YCBCR), (_rgb_jpeg, _JPEG, _RGB), (zlib.compress, _DEFLATE, _RGB)
    return {
        "ycbcr": _pyramid(image, (1, 4), 64, *ycbcr),
        "ycbcr-tables": _pyramid(image, (1, 4), 64, *ycbcr, tables=True),
        "rgb-tables": _pyramid(small, (1, 2), 32, *rgb, tables=True),
        "deflate": _pyramid(small, (1, 2, 4), 32, *deflate),
        "aperio-rgb": _aperio(image, *rgb, tables=True),
        "aperio-ycbcr": _aperio(small, *ycbcr, tables=True),
        "aperio-jpeg2000": _aperio(small, _jpeg2000, _APERIO_JPEG2000, _RGB),
    }


def real_seeds(folder: Path) -> dict[str, bytes]:
    """Vendors' slides, and files that are broken already, from the test data; nothing where they are absent."""
    if not folder.is_dir():
        return {}
    paths = sorted(path for path in folder.glob("*/*") if path.is_file())
    return {f"{path.parent.name}-{path.name}": path.read_bytes() for path in paths}
