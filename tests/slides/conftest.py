"""Made slides, real slides where they are at hand, and what the op's results are compared with."""

import os
from pathlib import Path

import numpy as np
import openslide
import pytest
import skimage.data
import tifffile
from PIL import Image

from ats_mag.slides.writing.pyramid import write_pyramid

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("ATS_MAG_DATA", ROOT.parent / "shared" / "data"))
REAL_SLIDES = sorted(path for path in (DATA / "slides").glob("*/*") if path.parent.name != "broken")


def pytest_generate_tests(metafunc):
    if "real_slide" in metafunc.fixturenames:
        reason = f"no slides in {DATA}"
        absent = [pytest.param(None, marks=pytest.mark.skip(reason=reason))]
        metafunc.parametrize("real_slide", REAL_SLIDES or absent, ids=lambda path: path.name if path else "absent")


@pytest.fixture(scope="session")
def data_slides():
    """Folder of the real slides."""
    if not REAL_SLIDES:
        pytest.skip(f"no slides in {DATA}")
    return DATA / "slides"


@pytest.fixture(scope="session")
def noise():
    """Noise, the hardest picture to resample."""
    return np.random.default_rng(0).integers(0, 256, (1024, 1280, 3), np.uint8)


@pytest.fixture(scope="session")
def tissue():
    """A real stained section, mirrored to twice its size."""
    image = skimage.data.immunohistochemistry()
    image = np.concatenate([image, image[:, ::-1]], axis=1)
    return np.concatenate([image, image[::-1]], axis=0)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("slides")


@pytest.fixture(scope="session")
def noise_slide(folder, noise):
    """Lossless, levels 1, 4 and 16, 0.25 um/px."""
    return str(write_pyramid(folder / "noise.tif", noise, 0.25, compression="deflate"))


@pytest.fixture(scope="session")
def tissue_slide(folder, tissue):
    """JPEG, levels 1, 4 and 16, 0.5 um/px."""
    return str(write_pyramid(folder / "tissue.tif", tissue, 0.5))


@pytest.fixture(scope="session")
def flat_slide(folder, noise):
    """Lossless noise of one level, its sides no multiples of anything, 0.25 um/px."""
    return str(write_pyramid(folder / "flat.tif", noise[:515, :709], 0.25, downsamples=(1,), compression="deflate"))


@pytest.fixture(scope="session")
def make_tiff(folder):
    """Writes a tiled TIFF with any tags."""

    def make(name, description=None, **options):
        path = folder / name
        image = np.full((64, 96, 3), 200, np.uint8)
        tifffile.imwrite(
            path, image, tile=(32, 32), photometric="rgb", metadata=None, description=description, **options
        )
        return str(path)

    return make


class Reference:
    """What openslide-python and plain NumPy say about a slide."""

    def __init__(self, path):
        self.slide = openslide.OpenSlide(path)
        colour = self.slide.properties.get("openslide.background-color", "FFFFFF")
        self.background = tuple(bytes.fromhex(colour))

    def region(self, level, x, y, width, height):
        """`(height, width, 3)` uint8 from pixel (x, y) of a level on, over the background; may reach outside."""
        downsample = self.slide.level_downsamples[level]
        level_width, level_height = self.slide.level_dimensions[level]
        out = np.empty((height, width, 3), np.uint8)
        out[:] = self.background
        left, top = max(x, 0), max(y, 0)
        right, bottom = min(x + width, level_width), min(y + height, level_height)
        if left < right and top < bottom:
            corner = (round(left * downsample), round(top * downsample))
            pixels = self.slide.read_region(corner, level, (right - left, bottom - top))
            image = Image.new("RGB", pixels.size, self.background)
            image.paste(pixels, mask=pixels)
            out[top - y : bottom - y, left - x : right - x] = image
        return out

    def average(self, level, x, y, ratio, height, width):
        """Area averages in float64 of `ratio` level pixels a side, from pixel (x, y) of the level on."""
        rows, columns = _weights(height, ratio), _weights(width, ratio)
        source = self.region(level, x, y, columns.shape[1], rows.shape[1])
        return np.einsum("ir,rsc,js->ijc", rows, source.astype(np.float64), columns, optimize=True)


def _weights(count, ratio):
    """`(count, ceil(count * ratio))`: the share of every source pixel in every output pixel; rows sum to 1."""
    begin = np.arange(count)[:, None] * ratio
    source = np.arange(int(np.ceil(count * ratio - 1e-9)))[None]
    share = np.minimum(begin + ratio, source + 1) - np.maximum(begin, source)
    return np.clip(share, 0, None) / ratio


@pytest.fixture(scope="session")
def reference():
    return Reference
