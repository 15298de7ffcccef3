"""Patches that move onto the tile grid."""

import numpy as np
import pytest
import tensorflow as tf
from backends import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from tiff_files import write_slide

from ats_mag.slides import numpy_reader
from ats_mag.slides.paths import encode_paths
from ats_mag.slides.properties import slide_info
from ats_mag.slides.reader import read_patches, snap_patches

TILE = 64


@pytest.fixture(scope="module")
def slide(folder, tissue):
    """Levels 1, 2 and about 4 (its sides are no multiples of 4), tiles of 64 pixels."""
    return write_slide(folder / "snap.tif", tissue[:454, :502], downsamples=(1, 2, 4), tile=TILE)


def tiles_touched(first, size, extent):
    begin, end = max(first, 0), min(first + size, extent)
    return 0 if begin >= end else (end - 1) // TILE - begin // TILE + 1


def first_pixel(place, size, downsample, level_downsample):
    """The rule of the reader."""
    return int(np.floor((place + size * downsample / 2) / level_downsample - size / 2 + 0.5 + 1e-7))


@settings(max_examples=examples(300), deadline=None)
@given(
    level=st.integers(0, 2),
    place=st.tuples(st.integers(-80, 560), st.integers(-80, 560)),
    size=st.tuples(st.integers(1, 150), st.integers(1, 150)),
    stretch=st.floats(0.985, 1.015),
    reach=st.floats(0, 300),
)
def test_moves_less_than_the_reach_to_the_fewest_tiles(slide, level, place, size, stretch, reach):
    info = slide_info(slide, 0.5)
    level_downsample = info.level_downsamples[level]
    downsample = level_downsample * stretch
    snapped = snap_patches([slide], [[place]], [[downsample]], size, reach).numpy()[0, 0]
    for axis in (0, 1):
        side, extent = size[1 - axis], info.level_dimensions[level][axis]
        before = first_pixel(place[axis], side, downsample, level_downsample)
        after = first_pixel(snapped[axis], side, downsample, level_downsample)
        fewest = -(-side // TILE)
        touched = tiles_touched(before, side, extent)
        if touched <= fewest:
            assert snapped[axis] == place[axis]
            continue
        away = [
            abs(first - before)
            for first in range(before - side, before + side + 1)
            if tiles_touched(first, side, extent) <= fewest and first >= 0
        ]
        if min(away) * level_downsample < reach - 1e-9:
            assert tiles_touched(after, side, extent) <= fewest
            assert abs(after - before) == min(away)
            assert abs(snapped[axis] - place[axis]) <= min(away) * level_downsample + level_downsample
        elif min(away) * level_downsample > reach + 1e-9:
            assert snapped[axis] == place[axis]


def test_a_snapped_patch_is_a_part_of_one_tile(slide):
    places = np.random.default_rng(0).integers(0, 380, (1, 50, 2))
    snapped = snap_patches([slide], places, np.ones((1, 50)), (60, 60), 100.0)
    assert (snapped.numpy() != places).any()
    assert (snapped.numpy() // TILE == (snapped.numpy() + 59) // TILE).all()
    tile = np.arange(TILE, 384, TILE)
    grid = np.stack(np.meshgrid(tile, tile), -1).reshape(1, -1, 2)
    near = grid + np.random.default_rng(1).integers(-31, 32, grid.shape)
    whole = read_patches([slide], grid, np.ones(grid.shape[:2]), (TILE, TILE))
    moved = snap_patches([slide], near, np.ones(grid.shape[:2]), (TILE, TILE), 32.0)
    np.testing.assert_array_equal(moved, grid)
    np.testing.assert_array_equal(read_patches([slide], moved, np.ones(grid.shape[:2]), (TILE, TILE)), whole)


def test_stays_where_nothing_is_to_be_won(slide, noise_slide):
    places = np.random.default_rng(0).integers(0, 300, (1, 30, 2))
    for downsample in (0.6, 1.5, 3.0):  # not a level as it stands
        np.testing.assert_array_equal(
            snap_patches([slide], places, np.full((1, 30), downsample), (60, 60), 99.0), places
        )
    np.testing.assert_array_equal(snap_patches([slide], places, np.ones((1, 30)), (60, 60), 0.0), places)
    np.testing.assert_array_equal(snap_patches(["no.tif"], places, np.ones((1, 30)), (60, 60), 99.0), places)


def test_plain_entry_and_graph_agree(slide, noise_slide):
    places = np.random.default_rng(2).integers(-50, 500, (2, 40, 2))
    downsample, reach = np.array([[1.0] * 20 + [4.0] * 20] * 2), np.array([50.0, 7.0])
    paths = encode_paths([slide, noise_slide])
    expected = snap_patches([slide, noise_slide], places, downsample, (60, 48), reach)
    np.testing.assert_array_equal(numpy_reader.snap_patches(paths, places, downsample, (60, 48), reach), expected)
    traced = tf.function(lambda where: snap_patches(paths, where, downsample, (60, 48), reach))
    np.testing.assert_array_equal(traced(tf.constant(places)), expected)


def test_errors(slide):
    with pytest.raises(tf.errors.InvalidArgumentError, match="downsample"):
        snap_patches([slide], [[[0, 0]]], [[float("nan")]], (8, 8), 1.0)
    with pytest.raises(ValueError, match="reach"):
        numpy_reader.snap_patches(encode_paths([slide]), [[[0, 0]]], [[1.0]], (8, 8), np.ones(3))
