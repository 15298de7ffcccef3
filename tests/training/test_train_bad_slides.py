"""Slides that cannot be read while training: what the table holds, and what counts."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from made_run import OVERVIEW_MPP

from ats_mag.geometry.lattice import Lattice
from ats_mag.layers.read_slide_patches import ReadSlidePatches
from ats_mag.slides.errors import SlideError
from ats_mag.slides.paths import encode_paths
from ats_mag.slides.writing.pyramid import write_pyramid
from ats_mag.training.bad_slides import BadSlides

GEOMETRY = np.array([[0, 0, 512, 640, 5_000_000]])
INDEX = np.array([[[2, 3, 0], [3, 4, 1]]])
VALID = np.array([[True, False]])


def model(snap=True):
    """As much of one as is needed."""
    return SimpleNamespace(lattice=Lattice(OVERVIEW_MPP, 3, (0.5, 2.0), 64, snap), reader=ReadSlidePatches(64))


def test_mended_slides_stay_in_the_table_and_do_not_count(tmp_path):
    file = tmp_path / "bad_slides.csv"
    paths = [str(tmp_path / f"s{i}.tif") for i in range(2)]

    def unreadable(bad, i):
        found = bad._note(encode_paths(paths[i : i + 1]), INDEX, GEOMETRY, VALID)
        np.testing.assert_array_equal(found, VALID)

    def begin(limit):
        return BadSlides(file, dict(zip(paths, ["s0", "s1"], strict=True)), limit, model())

    first = begin(0)
    first.check()
    unreadable(first, 0)
    unreadable(first, 0)
    with pytest.raises(SlideError, match=r"1 slides .* more than train\.max_bad_slides=0: s0;"):
        first.check()
    again = begin(0)
    again.check()
    unreadable(again, 1)
    with pytest.raises(SlideError, match=r"1 slides .*: s1;"):
        again.check()
    unreadable(again, 0)
    with pytest.raises(SlideError, match=r"2 slides .*: s1, s0;"):
        again.check()
    table = pd.read_csv(file)
    assert table["slide_id"].tolist() == ["s0", "s1"]
    assert table["path"].tolist() == paths
    assert table["error"].str.contains("does not exist|cannot open").all()


@pytest.mark.parametrize("snap", [True, False])
def test_the_error_is_that_of_the_patch_that_was_read(tmp_path, monkeypatch, snap):
    write_pyramid(tmp_path / "s.tif", np.full((640, 512, 3), 200, np.uint8), 0.5)
    path, made = encode_paths([str(tmp_path / "s.tif")]), model(snap)
    cells = np.argwhere(np.ones((4, 4, 1), bool))[None]
    places = [np.asarray(part) for part in made.reader.place_cells(made.lattice, path, cells, GEOMETRY)]
    moved = (places[0] != np.asarray(made.lattice.place(cells, GEOMETRY)[0])).any(axis=-1)
    assert moved.any() == snap
    at = int(moved.argmax())
    seen = []

    def fail(path, location, downsample, size):
        seen.append((location, downsample))
        raise SlideError("here")

    monkeypatch.setattr("ats_mag.slides.numpy_reader.read_patches", fail)
    bad = BadSlides(tmp_path / "bad_slides.csv", {}, 1, made)
    bad._note(path, cells, GEOMETRY, np.arange(16)[None] < at)
    for found, expected in zip(seen[0], places, strict=True):
        np.testing.assert_array_equal(found, expected[:, at : at + 1])
    assert bad.found[0]["error"] == "here"
