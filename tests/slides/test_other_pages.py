"""Pages that OpenSlide takes for levels and that show something else than the slide."""

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from ats_mag.slides import numpy_reader
from ats_mag.slides.errors import SlideError
from ats_mag.slides.paths import encode_paths
from ats_mag.slides.properties import slide_info
from ats_mag.slides.reader import read_overview, read_patches

_MPP = 0.5
_BLUE = (40, 90, 200)
_APERIO = "Aperio Image Library v12\r\n1024x1024 [0,0 1024x1024] (256x256) JPEG/RGB Q=90|AppMag = 20|MPP = 0.5"


@pytest.fixture(scope="module")
def picture():
    image = np.full((1024, 1024, 3), 243, np.uint8)
    image[150:850, 100:900] = (222, 165, 200)
    image[400:500, :] = np.random.default_rng(0).integers(0, 256, (100, 1024, 3), np.uint8)
    return image


def _write(path, pages):
    """Each page: (pixels, description); the first is the slide, the others are marked as reduced."""
    at = {"resolution": (1e4 / _MPP,) * 2, "resolutionunit": "CENTIMETER", "photometric": "rgb", "metadata": None}
    with tifffile.TiffWriter(path) as file:
        for number, (pixels, text) in enumerate(pages):
            file.write(
                pixels, tile=(128, 128), compression="deflate", subfiletype=min(number, 1), description=text, **at
            )
    return str(path)


def _label(height, width):
    return np.full((height, width, 3), _BLUE, np.uint8)


@pytest.mark.parametrize("before", [False, True], ids=["last", "between"])
@pytest.mark.parametrize("text", [None, _APERIO], ids=["generic", "aperio"])
def test_a_page_of_other_proportions_is_no_level(tmp_path, picture, text, before):
    levels = [(picture, text), (picture[::2, ::2], text), (picture[::8, ::8], text)]
    label = (_label(50, 100) if not before else _label(100, 300), text)
    pages = [*levels[:2], label, *levels[2:]] if before else [*levels, label]
    path = _write(tmp_path / "a.tif", pages)
    clean = _write(tmp_path / "b.tif", levels)
    info = slide_info(path)
    assert info.level_dimensions == ((1024, 1024), (512, 512), (128, 128))
    assert info.level_downsamples == (1.0, 2.0, 8.0)
    assert len(info.other_pages) == 1
    assert "proportions" in info.other_pages[0]
    assert slide_info(clean).other_pages == ()
    for mpp in (0.5, 1.0, 1.7, 3.2, 4.0, 5.0, 9.0):
        np.testing.assert_array_equal(read_overview(path, mpp), read_overview(clean, mpp))
    places = np.random.default_rng(1).integers(-40, 1000, (1, 30, 2))
    downsample = np.random.default_rng(2).choice([1.0, 2.0, 3.3, 6.4, 8.0, 10.0], (1, 30))
    np.testing.assert_array_equal(
        read_patches([path], places, downsample, (24, 24)), read_patches([clean], places, downsample, (24, 24))
    )
    plain, valid = numpy_reader.read_patches(encode_paths([path]), places, downsample, (24, 24))
    assert valid.all()
    np.testing.assert_array_equal(plain, read_patches([clean], places, downsample, (24, 24)))


def test_where_openslide_refuses_them_the_page_is_named(tmp_path, picture):
    """A label that is wider than the smallest level, and of fewer pixels."""
    path = _write(tmp_path / "a.tif", [(picture, None), (picture[::8, ::8], None), (_label(80, 160), None)])
    with pytest.raises(SlideError, match=r"page of 160 x 80 pixels .* not the slide's"):
        slide_info(path)


@pytest.mark.parametrize("kind", ["label", "macro"])
def test_what_aperio_calls_a_label_is_none_whatever_its_proportions(tmp_path, picture, kind):
    pages = [
        (picture, _APERIO),
        (picture[::4, ::4], _APERIO),
        (_label(128, 128), f"Aperio Image Library v12\r\n{kind} 128x128"),
    ]
    path = _write(tmp_path / "a.svs", pages)
    info = slide_info(path)
    assert info.level_dimensions == ((1024, 1024), (256, 256))
    assert len(info.other_pages) == 1
    assert (read_overview(path, 4.0).numpy() != _BLUE).any(axis=-1).all()


@settings(max_examples=40)
@given(
    sides=st.tuples(st.integers(1000, 300_000), st.integers(1000, 300_000)),
    downsample=st.sampled_from([2, 4, 8, 16, 32, 64, 128]),
    up=st.booleans(),
)
def test_levels_rounded_to_whole_pixels_stay_levels(tmp_path_factory, sides, downsample, up):
    """Whatever the slide's size: only directories are written, as no pixel is read."""
    level = [-(-side // downsample) if up else side // downsample for side in sides]
    path = tmp_path_factory.mktemp("rounded") / "a.tif"
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        for number, (width, height) in enumerate((sides, level)):
            tile = 16 * -(-max(width, height) // (16 * 40))
            count = -(-width // tile) * -(-height // tile)
            file.write(
                iter([b""] * count), shape=(height, width, 3), dtype=np.uint8, tile=(tile, tile), photometric="rgb",
                compression="deflate", subfiletype=number, metadata=None,
            )  # fmt: skip
    info = slide_info(path, 0.5)
    assert info.level_dimensions == (sides, tuple(level))
    assert info.other_pages == ()


def test_real_slides_keep_their_levels(data_slides):
    import openslide

    for path in sorted(data_slides.glob("*/*")):
        if path.parent.name == "broken":
            continue
        with openslide.OpenSlide(path) as slide:
            assert slide_info(path).level_dimensions == slide.level_dimensions
