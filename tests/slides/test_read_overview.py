"""Overviews and the geometry of slides."""

import numpy as np
import pytest
import tensorflow as tf

from ats_mag.slides.reader import read_overview, slide_geometry


@pytest.mark.parametrize("mpp", [0.25, 0.252, 0.6, 1.0, 1.01, 2.5, 4.0, 8.0, 33.3, 5000.0])
def test_overview_is_the_area_average(noise_slide, noise, reference, mpp):
    overview = read_overview(noise_slide, mpp).numpy()
    expected = reference(noise_slide)
    downsample = mpp / 0.25
    levels = expected.slide.level_downsamples
    near = [i for i, has in enumerate(levels) if abs(has - downsample) <= 0.02 * downsample]
    if near:
        width, height = expected.slide.level_dimensions[near[0]]
        np.testing.assert_array_equal(overview, expected.region(near[0], 0, 0, width, height))
        return
    level = max(i for i, has in enumerate(levels) if has < downsample)
    height, width = (int(np.ceil(side / downsample - 1e-6)) for side in noise.shape[:2])
    assert overview.shape == (height, width, 3)
    want = expected.average(level, 0, 0, downsample / levels[level], height, width)
    assert np.abs(overview - want).max() <= 0.5 + 1e-3


def test_sides_that_do_not_fit_end_in_background(flat_slide, noise):
    overview = read_overview(flat_slide, 2.0).numpy()  # 709 x 515 level-0 pixels, 8 of them a pixel
    assert overview.shape == (65, 89, 3)
    padded = np.pad(noise[:515, :709].astype(float), ((0, 5), (0, 3), (0, 0)), constant_values=255)
    want = padded.reshape(65, 8, 89, 8, 3).mean((1, 3))
    np.testing.assert_array_equal(overview, np.floor(want + 0.5))


def test_stated_resolution_overrides_the_files(noise_slide):
    assert read_overview(noise_slide, 8.0).shape == (32, 40, 3)
    assert read_overview(noise_slide, 8.0, slide_mpp=0.5).shape == (64, 80, 3)


def test_real_slides(real_slide, reference):
    expected = reference(real_slide)
    info = float(expected.slide.properties.get("openslide.mpp-x", "nan"))
    mpp = info if 0.05 < info < 50 else 0.5
    bounds, found = slide_geometry([str(real_slide)], mpp)
    width, height = expected.slide.dimensions
    np.testing.assert_array_equal(bounds, [[0, 0, width, height]])
    downsample = 30.7
    overview = read_overview(str(real_slide), mpp * downsample, mpp).numpy()
    levels = expected.slide.level_downsamples
    level = max(i for i, has in enumerate(levels) if has < downsample)
    want = expected.average(level, 0, 0, downsample / levels[level], *overview.shape[:2])
    assert overview.shape[:2] == tuple(int(np.ceil(side / downsample - 1e-6)) for side in (height, width))
    if levels[level] == int(levels[level]):
        assert np.abs(overview - want).max() <= 0.5 + 1e-3
    else:  # OpenSlide interpolates where a block of such a level begins between level-0 pixels
        assert np.abs(overview - want).mean() < 1
    np.testing.assert_allclose(found, [mpp])


def test_absurd_resolutions(noise_slide):
    for mpp in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(tf.errors.InvalidArgumentError, match="positive, finite"):
            read_overview(noise_slide, mpp)
    for slide_mpp in (0.0, -1.0, 0.01, 51.0, np.inf):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"noise\.tif.*not plausible.*from argument"):
            read_overview(noise_slide, 8.0, slide_mpp)
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"noise\.tif.*not plausible.*from argument"):
            slide_geometry([noise_slide], [slide_mpp])


def test_arguments_of_the_wrong_shape(noise_slide):
    with pytest.raises(ValueError, match=r"`mpp` must be one number.*Received"):
        read_overview(noise_slide, [8.0])
    with pytest.raises(ValueError, match=r"`path` must be one string.*Received"):
        read_overview([noise_slide], 8.0)
    with pytest.raises(ValueError, match=r"`slide_mpp` must be.*Received"):
        slide_geometry([noise_slide], [[0.25]])


def test_geometry_of_many(noise_slide, tissue_slide, flat_slide):
    bounds, mpp = slide_geometry([noise_slide, tissue_slide, flat_slide], [np.nan, np.nan, 0.7])
    np.testing.assert_array_equal(bounds, [[0, 0, 1280, 1024], [0, 0, 1024, 1024], [0, 0, 709, 515]])
    np.testing.assert_allclose(mpp, [0.25, 0.5, 0.7])
