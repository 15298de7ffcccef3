"""The pyramid writer."""

import numpy as np
import openslide
import pytest

from ats_mag.slides.writing.pyramid import write_pyramid


def _levels(path):
    slide = openslide.OpenSlide(path)
    return [
        np.asarray(slide.read_region((0, 0), level, size))[..., :3] for level, size in enumerate(slide.level_dimensions)
    ]


@pytest.mark.parametrize("compression", ["deflate", "lzw", None])
def test_lossless_levels_are_exact_means(tmp_path, noise, compression):
    image = noise[:600, :777]
    path = write_pyramid(tmp_path / "a.tif", image, 0.25, (1, 2, 8, 16), 64, compression)
    levels = _levels(path)
    assert len(levels) == 4
    for level, downsample in zip(levels, (1, 2, 8, 16), strict=True):
        height, width = 600 // downsample, 777 // downsample
        blocks = image[: height * downsample, : width * downsample].reshape(height, downsample, width, downsample, 3)
        np.testing.assert_array_equal(level, np.floor(blocks.mean((1, 3)) + 0.5))
    assert [file.name for file in tmp_path.iterdir()] == ["a.tif"]


@pytest.mark.parametrize("subsampling", [(1, 1), (2, 2)])
def test_jpeg_is_close(tmp_path, tissue, subsampling):
    path = write_pyramid(tmp_path / "a.tif", tissue, 0.5, quality=95, subsampling=subsampling)
    for level, downsample in zip(_levels(path), (1, 4, 16), strict=True):
        want = tissue.reshape(1024 // downsample, downsample, 1024 // downsample, downsample, 3).mean((1, 3))
        assert np.abs(level - want).mean() < 5
        assert np.abs((level - want).mean((0, 1))).max() < 0.5


def test_properties(tmp_path, noise):
    slide = openslide.OpenSlide(write_pyramid(tmp_path / "a.tif", noise, 0.2527))
    assert slide.properties["openslide.vendor"] == "generic-tiff"
    assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.2527, rel=1e-6)
    assert float(slide.properties["openslide.mpp-y"]) == pytest.approx(0.2527, rel=1e-6)
    assert slide.properties["openslide.level[1].tile-width"] == "256"


def test_tiles_from_a_function(tmp_path, noise):
    calls = []

    def tile(row, column):
        calls.append((row, column))
        return noise[row * 128 : (row + 1) * 128, column * 128 : (column + 1) * 128]

    made = write_pyramid(tmp_path / "a.tif", tile, 0.25, tile=128, compression="deflate", shape=(500, 700))
    whole = write_pyramid(tmp_path / "b.tif", noise[:500, :700], 0.25, tile=128, compression="deflate")
    assert made.read_bytes() == whole.read_bytes()
    assert calls == [(row, column) for row in range(4) for column in range(6)]


def test_tiny_images(tmp_path):
    image = np.full((5, 3, 3), 7, np.uint8)
    levels = _levels(write_pyramid(tmp_path / "a.tif", image, 0.25, (1, 2, 4), compression="deflate"))
    assert [level.shape for level in levels] == [(5, 3, 3), (2, 1, 3)]
    np.testing.assert_array_equal(levels[1], 7)


def test_a_failure_leaves_the_old_file(tmp_path, noise):
    path = write_pyramid(tmp_path / "a.tif", noise[:64, :64], 0.25, tile=64)
    before = path.read_bytes()

    def tile(row, column):
        raise RuntimeError("no more tiles")

    with pytest.raises(RuntimeError, match="no more tiles"):
        write_pyramid(path, tile, 0.25, shape=(64, 64))
    with pytest.raises(ValueError, match=r"a tile must be.*Received at \(0, 0\)"):
        write_pyramid(path, lambda row, column: np.zeros((3, 3), np.uint8), 0.25, shape=(64, 64))
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.tif"]


@pytest.mark.parametrize(
    "change",
    [
        {"mpp": 0.0},
        {"mpp": float("nan")},
        {"tile": 100},
        {"tile": 0},
        {"downsamples": (2, 4)},
        {"downsamples": (1, 8, 4)},
        {"downsamples": (1, 3)},
        {"downsamples": ()},
        {"compression": "zip"},
        {"quality": 0},
        {"image": np.zeros((8, 8), np.uint8)},
        {"image": np.zeros((8, 8, 3))},
        {"image": "picture.png"},
        {"image": lambda row, column: None},
    ],
)
def test_bad_arguments(tmp_path, noise, change):
    with pytest.raises(ValueError, match="Received"):
        write_pyramid(tmp_path / "a.tif", **{"image": noise[:64, :64], "mpp": 0.25, **change})
    assert not list(tmp_path.iterdir())
