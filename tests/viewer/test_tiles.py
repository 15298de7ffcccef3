import time

import numpy as np
import openslide
import pytest

from ats_mag.viewer import coarse_picture
from ats_mag.viewer.tiles import OVERLAP, TILE, DeepZoom


def whole(zoom, level):
    """A level put together from its tiles, after checking that neighbours agree where they overlap."""
    width, height = zoom.size(level)
    picture = np.zeros((height, width, 3), np.uint8)
    columns, rows = zoom.grid(level)
    for row in range(rows):
        for column in range(columns):
            tile = zoom.tile(level, column, row)
            x, y = max(column * TILE - OVERLAP, 0), max(row * TILE - OVERLAP, 0)
            assert tile.shape[1] <= TILE + 2 * OVERLAP
            if column:
                np.testing.assert_array_equal(tile[:, :OVERLAP], picture[y : y + tile.shape[0], x : x + OVERLAP])
            picture[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
    return picture


@pytest.mark.parametrize("level", [0, 1, 2])
def test_tiles_are_the_pixels_that_openslide_reads(slides, level):
    zoom = DeepZoom(slides[0])
    with openslide.OpenSlide(slides[0]) as slide:
        region = slide.read_region((0, 0), level, slide.level_dimensions[level]).convert("RGB")
    np.testing.assert_array_equal(whole(zoom, zoom.finest - 2 * level), np.asarray(region))


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("step", [1, 3, 6, 7])
def test_coarse_tiles_are_means_of_the_slide(slides, number, step):
    zoom = DeepZoom(slides[number])
    found = whole(zoom, zoom.finest - step).astype(float)
    finest = whole(zoom, zoom.finest).astype(float)
    height, width = (edge >> step for edge in finest.shape[:2])  # those pixels that lie on the slide as a whole
    means = finest[: height << step, : width << step].reshape(height, 1 << step, width, 1 << step, 3).mean((1, 3))
    # Levels of the file are JPEG, each on its own.
    assert np.abs(found[:height, :width] - means).mean() < (2.5 if number == 0 else 0.6)


def test_the_coarsest_level_is_one_pixel_and_none_is_beyond(slides):
    zoom = DeepZoom(slides[0])
    assert zoom.tile(0, 0, 0).shape == (1, 1, 3)
    assert zoom.size(zoom.finest) == (2400, 1600)
    for level, column, row in [
        (-1, 0, 0),
        (zoom.finest + 1, 0, 0),
        (zoom.finest, 5, 0),
        (zoom.finest, 0, 4),
        (3, 0, 1),
    ]:
        with pytest.raises(IndexError):
            zoom.tile(level, column, row)


def test_a_large_file_of_one_level_is_sketched_and_then_read(slides, monkeypatch):
    exact = whole(DeepZoom(slides[1]), 6)
    monkeypatch.setattr(coarse_picture, "_AT_ONCE", 0)
    coarse_picture._one_at_a_time.acquire()
    zoom = DeepZoom(slides[1])
    sketch = whole(zoom, 6)
    assert zoom.reading == 0
    assert 0 < np.abs(sketch.astype(float) - exact).mean() < 40
    assert np.abs(exact.astype(float) - exact.mean((0, 1))).mean() > 40  # a sketch says more than one colour would
    coarse_picture._one_at_a_time.release()
    deadline = time.monotonic() + 30
    while zoom.reading is not None and time.monotonic() < deadline:
        time.sleep(0.01)
    np.testing.assert_array_equal(whole(zoom, 6), exact)


def test_only_the_bounds_are_shown(slides, monkeypatch):
    import dataclasses

    from ats_mag.viewer import tiles

    info = tiles.slide_info(slides[0])
    inner = dataclasses.replace(info, bounds=(400, 300, 1000, 600))
    full = whole(DeepZoom(slides[0]), 12)
    monkeypatch.setattr(tiles, "slide_info", lambda slide, mpp: inner)
    zoom = DeepZoom(slides[0])
    assert (zoom.width, zoom.height) == (1000, 600)
    np.testing.assert_array_equal(whole(zoom, zoom.finest), full[300:900, 400:1400])
