"""JPEG tiles that are decoded without OpenSlide show what OpenSlide shows."""

import contextlib
import io
import itertools
import json
import os
import subprocess
import sys

import imagecodecs
import numpy as np
import openslide
import pytest
import tifffile
from backends import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tiff_files import APERIO, TILE, encode, write_slide

from ats_mag.slides.errors import SlideError, plain_errors
from ats_mag.slides.properties import slide_info
from ats_mag.slides.reader import read_overview, read_patches

KINDS = {
    "444": {"subsampling": "444"},
    "422": {"subsampling": "422"},
    "420": {"subsampling": "420"},
    "440": {"subsampling": "440"},
    "411": {"subsampling": "411"},
    "tables": {"tables": True},
    "rgb": {"photometric": "rgb", "subsampling": "444", "tables": True},
    "aperio": {"description": APERIO, "tables": True},
    "aperio-rgb": {"description": APERIO, "photometric": "rgb", "subsampling": "444"},
    "bigtiff": {"bigtiff": True},
    "big-endian": {"bigtiff": True, "byteorder": ">"},
    "tile-240": {"tile": 240},
    "tile-16": {"tile": 16, "subsampling": "422"},
}


@pytest.fixture(scope="module")
def image(tissue):
    return tissue[100:548, 200:700]  # sides that 4 divides, or OpenSlide interpolates the lower levels


@pytest.fixture(scope="module")
def slides(folder, image):
    return {name: write_slide(folder / f"direct-{name}.tif", image, **kind) for name, kind in KINDS.items()}


TIMES = itertools.count(1)


def compare(reference, path, level, corners, size):
    """Patches of a level at places of its own pixels, against openslide-python."""
    expected = reference(path)
    downsample = expected.slide.level_downsamples[level]
    places = np.array([[[round(x * downsample), round(y * downsample)] for x, y in corners]])
    patches = read_patches([path], places, np.full((1, len(corners)), downsample), size).numpy()[0]
    for patch, (x, y) in zip(patches, corners, strict=True):
        np.testing.assert_array_equal(patch, expected.region(level, x, y, size[1], size[0]))


def readers_of(path):
    return slide_info(path, 0.5).level_readers


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_direct_and_equal(slides, kind, reference):
    slide = slides[kind]
    assert readers_of(slide) == ("direct",) * 3
    rng = np.random.default_rng(0)
    for level in range(3):
        width, height = slide_info(slide, 0.5).level_dimensions[level]
        for size in ((50, 70), (130, 33), (1, 1)):
            corners = np.stack([rng.integers(-40, width, 12), rng.integers(-40, height, 12)], 1).tolist()
            compare(reference, slide, level, corners, size)


@settings(max_examples=examples(60), deadline=None)
@given(data=st.data())
def test_any_part_of_a_tile(folder, image, reference, data):
    """One patch in a fresh slide, so that nothing is in a cache: the tile is cropped and cut short."""
    subsampling = data.draw(st.sampled_from(["444", "422", "420", "440", "411"]))
    path = folder / f"part-{subsampling}.tif"
    if not path.exists():
        write_slide(path, image, subsampling=subsampling, tile=256)
    os.utime(path, ns=(0, next(TIMES)))  # another time: another slide to the reader
    x, y = data.draw(st.integers(0, 460)), data.draw(st.integers(0, 410))
    size = (data.draw(st.integers(1, 80)), data.draw(st.integers(1, 80)))
    compare(reference, str(path), 0, [(x, y)], size)


def test_real_slides_are_equal(real_slide, reference):
    info = slide_info(real_slide, 0.5)
    rng = np.random.default_rng(0)
    for level, (reader, (width, height)) in enumerate(zip(info.level_readers, info.level_dimensions, strict=True)):
        if reader == "direct":
            size = (min(224, height), min(224, width))
            corners = np.stack([rng.integers(0, width - size[1] + 1, 20), rng.integers(0, height - size[0] + 1, 20)], 1)
            compare(reference, str(real_slide), level, corners.tolist(), size)


def test_the_way_of_reading_does_not_show(slides):
    """Averages and overviews too. In processes of their own, as the way is chosen once."""
    found = [
        digests(slides.values(), {"ATS_MAG_DIRECT": "0"}),
        digests(slides.values(), {"ATS_MAG_CACHE_BYTES": "0"}),
        digests(slides.values(), {"ATS_MAG_CACHE_BYTES": "100000", "ATS_MAG_THREADS": "4"}),
    ]
    assert found[0] == found[1] == found[2]


def digests(paths, settings):
    code = """
import hashlib, json, sys
import numpy as np
from ats_mag.slides.numpy_reader import read_overview, read_patches  # begins sooner than TensorFlow's way, and reads as it
from ats_mag.slides.paths import encode_paths
places = np.random.default_rng(0).integers(-60, 500, (1, 15, 2))
found = []
for path in sys.argv[1:]:
    for downsample in (0.7, 1.0, 1.5, 2.0, 3.3, 4.0):
        found.append(read_patches(encode_paths([path]), places, np.full((1, 15), downsample), (61, 47))[0])
    found += [read_overview(path, mpp, 0.5) for mpp in (0.5, 1.7, 8.0)]
print(json.dumps([hashlib.sha256(a.tobytes()).hexdigest() for a in found]))
"""
    command = [sys.executable, "-c", code, *paths]
    done = subprocess.run(command, env={**os.environ, **settings}, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_what_is_not_covered_goes_through_openslide(noise_slide, folder, image, reference):
    assert all("OpenSlide: its compression is not JPEG" in reader for reader in readers_of(noise_slide))
    gray = folder / "gray.tif"
    tifffile.imwrite(gray, image[..., 0], tile=(64, 64), compression="jpeg", photometric="minisblack", metadata=None)
    assert readers_of(gray) == ("OpenSlide: its colours are neither RGB nor YCbCr",)
    twins = write_slide(folder / "twins.tif", image, downsamples=(1, 2, 2))
    assert readers_of(twins)[1:] == ("OpenSlide: several TIFF images have its size",) * 2
    for path in (noise_slide, str(gray), twins):
        compare(reference, path, 0, [(3, 5), (100, 90)], (50, 40))


def progressive(level, index, jpeg):
    """Turns one tile into a progressive JPEG."""
    if (level, index) != (0, 9):
        return jpeg
    file = io.BytesIO()
    Image.fromarray(imagecodecs.jpeg8_decode(jpeg)).save(file, "JPEG", progressive=True, quality=90)
    return file.getvalue()


def test_tiles_that_are_not_covered_go_through_openslide(folder, image, reference):
    path = write_slide(folder / "progressive.tif", image, change=progressive)
    assert readers_of(path)[0] == "direct"
    compare(reference, path, 0, [(0, 0), (50, 50), (60, 70), (90, 90), (300, 300)], (90, 90))


def without_tiles(level, index, jpeg):
    return b"" if index % 3 == 1 else jpeg


def test_missing_tiles_are_background(folder, image, reference):
    path = write_slide(folder / "lacking.tif", image, change=without_tiles)
    assert readers_of(path) == ("direct",) * 3
    for level in range(3):
        compare(reference, path, level, [(0, 0), (30, 40), (63, 20)], (90, 60))


def test_missing_tiles_of_aperio_are_filled_by_openslide(folder, image, reference):
    path = write_slide(folder / "lacking.svs", image, description=APERIO, change=without_tiles)
    assert all("it lacks tiles" in reader for reader in readers_of(path))
    for level in range(3):
        compare(reference, path, level, [(0, 0), (30, 40), (63, 20)], (90, 60))


@pytest.mark.parametrize(
    "damage",
    [
        lambda jpeg: jpeg[: len(jpeg) // 2],
        lambda jpeg: b"\xff\xd8" + b"\0" * 100,
        lambda jpeg: encode(np.zeros((32, 48, 3), np.uint8)),
        lambda jpeg: jpeg.replace(b"\xff\xc4", b"\xff\xc5"),
    ],
    ids=["cut", "zeros", "another size", "no Huffman tables"],
)
def test_a_damaged_tile_is_what_openslide_makes_of_it(folder, image, reference, damage, request):
    name = request.node.callspec.id.replace(" ", "-")
    path = write_slide(
        folder / f"damaged-{name}.tif", image, change=lambda level, index, jpeg: damage(jpeg) if index == 9 else jpeg
    )
    x, y = TILE + 10, TILE + 10  # tile 9: row 1, column 1 of 8
    compare(reference, path, 0, [(300, 300), (0, 0)], (50, 50))
    patches, valid = read_patches([path], [[[x, y], [300, 300]]], [[1.0, 1.0]], (20, 20), on_error="fill")
    try:
        expected = np.array(openslide.OpenSlide(path).read_region((x, y), 0, (20, 20)))[..., :3]
    except openslide.OpenSlideError:
        assert valid.numpy().tolist() == [[False, True]]
        assert (patches.numpy()[0, 0] == 255).all()
    else:
        assert valid.numpy().all()
        np.testing.assert_array_equal(patches.numpy()[0, 0], expected)


@contextlib.contextmanager
def plain_errors_are(kind, message):
    with pytest.raises(kind, match=message), plain_errors():
        yield


def test_a_directory_that_lies_is_an_error(folder, image):
    """Offsets beyond the end of the file."""
    path = folder / "short.tif"
    write_slide(path, image, downsamples=(1,))
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        tag = tiff.pages[0].tags["TileOffsets"]
        tag.overwrite([offset + 2**30 for offset in tag.value])
    with plain_errors_are(SlideError, r"short\.tif"):
        read_patches([str(path)], [[[0, 0]]], [[1.0]], (20, 20))
    with plain_errors_are(SlideError, r"short\.tif"):
        read_overview(str(path), 4.0, 0.5)
