"""Pixels of patches: as they stand, averaged, interpolated, and beyond the edge."""

import numpy as np
import pytest
from backends import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from ats_mag.slides.paths import encode_paths
from ats_mag.slides.reader import read_patches


def _read(path, location, downsample, size):
    return read_patches([str(path)], [location], [np.full(len(location), downsample)], size)[0].numpy()


def _corners(width, height, side):
    """Places (x, y) in pixels of a level: inside, over each edge and corner, and far outside."""
    inside = np.random.default_rng(width).integers(0, [max(1, width - side), max(1, height - side)], (4, 2))
    xs, ys = (-side // 3, width // 2, width - side // 2), (-side // 3, height // 2, height - side // 2)
    return [*inside.tolist(), *([x, y] for x in xs for y in ys), [width + 5, 0], [0, -side - 1]]


def _check_levels(path, reference, side):
    expected = reference(path)
    for level, (width, height) in enumerate(expected.slide.level_dimensions):
        downsample = expected.slide.level_downsamples[level]
        corners = _corners(width, height, side)
        # Whole level pixels, as level-0 pixels: rounding them must not move the patch by one.
        location = [[round(x * downsample), round(y * downsample)] for x, y in corners]
        patches = _read(path, location, downsample, (side, side + 3))
        for (x, y), patch in zip(corners, patches, strict=True):
            want = expected.region(level, x, y, side + 3, side)
            np.testing.assert_array_equal(patch, want, f"level {level}, ({x}, {y})")


def test_levels_equal_openslide(noise_slide, tissue_slide, flat_slide, reference):
    for path in (noise_slide, tissue_slide, flat_slide):
        _check_levels(path, reference, 61)


def test_levels_of_real_slides_equal_openslide(real_slide, reference):
    _check_levels(real_slide, reference, 47)


@pytest.mark.parametrize("downsample", [0.985, 1.0, 1.015, 3.93, 4.0003, 4.07])
def test_a_level_within_two_percent_is_taken_as_it_stands(noise_slide, noise, downsample, reference):
    level = 0 if downsample < 2 else 1
    location = np.array([[200, 400], [404, 100]])
    patches = _read(noise_slide, location, downsample, (50, 40))
    for (x, y), patch in zip(location, patches, strict=True):
        scale = 4.0 if level else 1.0
        left = int(np.floor((x + 40 * downsample / 2) / scale - 20 + 0.5))
        top = int(np.floor((y + 50 * downsample / 2) / scale - 25 + 0.5))
        np.testing.assert_array_equal(patch, reference(noise_slide).region(level, left, top, 40, 50))


@pytest.mark.parametrize("downsample", [1.03, 1.5, 2, 2.7, 3, 3.9, 5.3, 8, 12.345, 33, 70])
def test_area_average(noise_slide, tissue_slide, reference, downsample):
    for path in (noise_slide, tissue_slide):
        expected = reference(path)
        level = max(i for i, has in enumerate(expected.slide.level_downsamples) if has < downsample)
        scale = expected.slide.level_downsamples[level]
        places = np.array([[0, 0], [37, 11], [130, 60]])
        location = (places * scale).astype(int)
        for (x, y), patch in zip(places, _read(path, location, downsample, (21, 34)), strict=True):
            want = expected.average(level, int(x), int(y), downsample / scale, 21, 34)
            assert np.abs(patch - want).max() <= 0.5 + 1e-3  # rounding, and nothing else


def test_averages_are_rounded_half_up(folder):
    from ats_mag.slides.writing.pyramid import write_pyramid

    image = np.zeros((96, 96, 3), np.uint8)
    image[:, ::2] = 1
    path = write_pyramid(folder / "half.tif", image, 0.25, downsamples=(1,), compression="deflate")
    for ratio in (2, 4, 6):
        np.testing.assert_array_equal(_read(path, [[0, 0]], ratio, (8, 8)), 1)


def test_windows_larger_than_a_block(folder, reference):
    from ats_mag.slides.writing.pyramid import write_pyramid

    image = np.random.default_rng(1).integers(0, 256, (1200, 1500, 3), np.uint8)
    path = write_pyramid(folder / "big.tif", image, 0.25, downsamples=(1,), compression=None)
    for downsample, side in ((1.0, 1100), (1030.0, 2), (1250.0, 1), (9.7, 120), (0.5, 1100)):
        patch = _read(path, [[7, 5]], downsample, (side, side))[0]
        if downsample == 1:
            np.testing.assert_array_equal(patch, reference(path).region(0, 7, 5, side, side))
        elif downsample > 1:
            assert np.abs(patch - reference(path).average(0, 7, 5, downsample, side, side)).max() <= 0.5 + 1e-3
        else:
            np.testing.assert_array_equal(patch, _bilinear(image, 7, 5, downsample, side, side))


def _bilinear(image, x, y, ratio, height, width):
    padded = np.pad(image.astype(float), ((99, 99), (99, 99), (0, 0)), constant_values=255)
    rows = 99 + y + (np.arange(height) + 0.5) * ratio - 0.5
    columns = 99 + x + (np.arange(width) + 0.5) * ratio - 0.5
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    fy, fx = (rows - top)[:, None, None], (columns - left)[None, :, None]
    above = padded[top][:, left] * (1 - fx) + padded[top][:, left + 1] * fx
    below = padded[top + 1][:, left] * (1 - fx) + padded[top + 1][:, left + 1] * fx
    return np.floor(above * (1 - fy) + below * fy + 0.5 + 1e-9).astype(np.uint8)


@pytest.mark.parametrize("downsample", [0.97, 0.5, 0.3, 0.125])
def test_finer_than_level_0_is_interpolated(flat_slide, noise, downsample):
    image = noise[:515, :709]
    for x, y in ((30, 20), (-3, -2), (700, 510)):
        patch = _read(flat_slide, [[x, y]], downsample, (24, 32))[0]
        left = int(np.floor(x + 0.5 + 1e-7))
        want = _bilinear(image, left, y, downsample, 24, 32)
        assert np.abs(patch.astype(int) - want).max() <= 1


@settings(max_examples=examples(60), deadline=None)
@given(
    x=st.integers(-900, 1500),
    y=st.integers(-900, 1300),
    downsample=st.floats(0.2, 40),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
)
def test_any_patch_follows_the_rule(noise_slide, noise, reference, x, y, downsample, height, width):
    expected = reference(noise_slide)
    levels = expected.slide.level_downsamples
    patch = _read(noise_slide, [[x, y]], downsample, (height, width))[0]
    near = [i for i, has in enumerate(levels) if abs(has - downsample) <= 0.02 * downsample]
    level = near[0] if near else max((i for i, has in enumerate(levels) if has < downsample), default=0)
    ratio = 1.0 if near else downsample / levels[level]
    scale = levels[level]
    left, top = (
        int(np.floor((corner + side * downsample / 2) / scale - side * ratio / 2 + 0.5 + 1e-7))
        for corner, side in ((x, width), (y, height))
    )
    if near:
        np.testing.assert_array_equal(patch, expected.region(level, left, top, width, height))
    elif ratio > 1:
        assert np.abs(patch - expected.average(level, left, top, ratio, height, width)).max() <= 0.5 + 1e-3
    else:
        padded = np.pad(noise, ((1000, 1000), (1000, 1000), (0, 0)), constant_values=255)
        want = _bilinear(padded, left + 1000, top + 1000, ratio, height, width)
        assert np.abs(patch.astype(int) - want).max() <= 1


@pytest.mark.parametrize("name", ["ä ö.tif", "a (387).tif", "組織 %s {}.tif", "x" * 200 + ".tif"])
def test_names_and_path_codes(folder, noise, name):
    from ats_mag.slides.writing.pyramid import write_pyramid

    path = write_pyramid(folder / name, noise[:300, :300], 0.25, compression="deflate")
    codes = encode_paths([path])
    assert codes.dtype == np.int32
    assert codes.shape[1] % 64 == 0
    assert codes.shape[1] >= len(str(path).encode())
    for paths in ([str(path)], [path], np.array([str(path)]), [str(path).encode()], codes):
        np.testing.assert_array_equal(read_patches(paths, [[[16, 24]]], 1, (32, 48))[0, 0], noise[24:56, 16:64])


def test_many_slides_and_patches_keep_their_places(noise_slide, flat_slide, noise):
    rng = np.random.default_rng(3)
    location = rng.integers(0, 400, (3, 17, 2))
    patches = read_patches([noise_slide, flat_slide, noise_slide], location, 1.0, (16, 24)).numpy()
    for slide in range(3):
        for (x, y), patch in zip(location[slide], patches[slide], strict=True):
            np.testing.assert_array_equal(patch, noise[y : y + 16, x : x + 24])


def test_nothing_asked_nothing_read(noise_slide):
    assert read_patches([noise_slide], np.zeros((1, 0, 2)), 1.0, (8, 9)).shape == (1, 0, 8, 9, 3)
    assert read_patches(encode_paths([]), np.zeros((0, 4, 2)), 1.0, (8, 9)).shape == (0, 4, 8, 9, 3)
