"""Properties of slides, and where the resolution comes from."""

import re

import pytest
import tensorflow as tf

from ats_mag.geometry.units import LARGEST_DIFFERENCE, PLAUSIBLE_SLIDE_MPP, is_plausible_slide_mpp
from ats_mag.slides.errors import SlideError, plain_errors
from ats_mag.slides.properties import slide_info
from ats_mag.slides.reader import read_patches, slide_geometry

_APERIO = "Aperio Image Library v1\r\n96x64 (32x32) JPEG/RGB Q=90|"


def test_slide_info(noise_slide):
    info = slide_info(noise_slide)
    assert (info.path, info.vendor, info.dimensions) == (noise_slide, "generic-tiff", (1280, 1024))
    assert info.level_dimensions == ((1280, 1024), (320, 256), (80, 64))
    assert info.level_downsamples == (1.0, 4.0, 16.0)
    assert info.level_mpp == (0.25, 1.0, 4.0)
    assert info.tile_dimensions == ((256, 256),) * 3
    assert (info.mpp, info.mpp_source, info.mpp_problem) == (0.25, "openslide.mpp-x", None)
    assert (info.objective_power, info.bounds, info.background) == (None, (0, 0, 1280, 1024), (255, 255, 255))
    assert info.quickhash


def test_the_argument_comes_first(noise_slide):
    info = slide_info(noise_slide, slide_mpp=0.5)
    assert (info.mpp, info.mpp_source) == (0.5, "argument")
    assert info.level_mpp == (0.5, 2.0, 8.0)


@pytest.mark.parametrize(
    ("options", "mpp", "source"),
    [
        ({"resolution": (40000, 40000), "resolutionunit": "CENTIMETER"}, 0.25, "openslide.mpp-x"),
        ({"resolution": (40000, 38000), "resolutionunit": "CENTIMETER"}, (0.25 + 1e4 / 38000) / 2, "openslide.mpp-x"),
        ({"resolution": (50800, 50800), "resolutionunit": "INCH"}, 0.5, "openslide.mpp-x"),
        ({"description": _APERIO + "AppMag = 20|MPP = 0.4990"}, 0.499, "openslide.mpp-x"),
        (
            {"description": _APERIO + "x = 1", "resolution": (20000, 20000), "resolutionunit": "CENTIMETER"},
            0.5,
            "tiff.XResolution",
        ),
        ({"description": _APERIO + "x = 1", "resolution": (50800, 50800), "resolutionunit": "INCH"}, 0.5, "tiff."),
    ],
)
def test_sources_of_the_resolution(make_tiff, options, mpp, source):
    path = make_tiff("sources.tif", **options)
    info = slide_info(path)
    assert info.mpp == pytest.approx(mpp, rel=1e-6)
    assert info.mpp_source.startswith(source)
    assert slide_geometry([path])[1].numpy()[0] == info.mpp


def test_objective_power_is_no_resolution(make_tiff):
    path = make_tiff("power.tif", _APERIO + "AppMag = 40", resolutionunit="NONE", resolution=(1, 1))
    info = slide_info(path)
    assert (info.objective_power, info.mpp, info.mpp_source, info.level_mpp) == (40.0, None, None, None)
    with plain_errors(), pytest.raises(tf.errors.InvalidArgumentError, match=r"power\.tif.*unknown.*`slide_mpp`"):
        slide_geometry([path])


@pytest.mark.parametrize(
    ("resolution", "unit", "words"),
    [
        ((72, 72), "INCH", r"352\.7.*drawing program"),
        ((96, 96), "INCH", r"264\.5.*drawing program"),
        ((1e6, 1e6), "CENTIMETER", r"0\.01 um/px"),
        ((40000, 20000), "CENTIMETER", r"0\.25 um/px in x but 0\.5 in y"),
    ],
)
def test_implausible_resolutions_are_refused(make_tiff, resolution, unit, words):
    path = make_tiff("implausible.tif", resolution=resolution, resolutionunit=unit)
    info = slide_info(path)
    assert info.mpp is None
    assert info.mpp_source == "openslide.mpp-x"
    message = rf"implausible\.tif.*{words}.*`slide_mpp`"
    assert re.search(message, info.mpp_problem)
    with pytest.raises(ValueError, match=message), plain_errors():
        slide_geometry([path])
    assert slide_info(path, slide_mpp=0.25).mpp == 0.25


def test_the_library_holds_the_same_range_plausible(noise_slide, make_tiff):
    low, high = PLAUSIBLE_SLIDE_MPP
    for mpp in (low * 0.999, low, high, high * 1.001):
        assert (slide_info(noise_slide, mpp).mpp is not None) == is_plausible_slide_mpp(mpp, mpp)
    for share in (0.99, 1.01):
        x, y = 1e4 / 0.25, 1e4 / (0.25 * (1 + share * LARGEST_DIFFERENCE))
        path = make_tiff(f"x-y-{share}.tif", resolution=(x, y), resolutionunit="CENTIMETER")
        assert (slide_info(path).mpp is not None) == is_plausible_slide_mpp(1e4 / x, 1e4 / y) == (share < 1)


def test_errors_are_plain(folder, noise_slide):
    text = folder / "plain.txt"
    text.write_text("no slide")
    with pytest.raises(FileNotFoundError, match=r"^cannot open slide '/nowhere\.svs': .* root$"):
        slide_info("/nowhere.svs")
    with pytest.raises(SlideError, match=r"^cannot open slide .* TIFF$"):
        slide_info(text)
    with pytest.raises(ValueError, match=r"^downsample.* nan$"), plain_errors():
        read_patches([noise_slide], [[[0, 0]]], float("nan"), (8, 8))


def test_errors_are_plain_from_graphs_and_pipelines():
    read = tf.function(lambda path: read_patches(path, [[[0, 0]]], 1.0, (8, 8)))
    data = tf.data.Dataset.from_tensors(["/nowhere.svs"])
    for action in (
        lambda: read(tf.constant(["/nowhere.svs"])),
        lambda: next(iter(data.map(read))),
        lambda: next(iter(data.map(read, num_parallel_calls=2).prefetch(1))),
    ):
        with pytest.raises(FileNotFoundError, match=r"^cannot open slide '/nowhere\.svs': .* root$"), plain_errors():
            action()


def test_real_slides(real_slide):
    info = slide_info(real_slide)
    assert info.vendor in str(real_slide.parent)
    assert info.dimensions == info.level_dimensions[0]
    assert (info.mpp is None) == (real_slide.name.startswith(("TCGA", "boxes.tiff")))
