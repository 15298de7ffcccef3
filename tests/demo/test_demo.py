"""The demo: its slides hold each cue at one magnification only, and its whole way runs."""

import json

import numpy as np
import openslide
import pandas as pd
import pytest
from rich.console import Console

from ats_mag.demo.cohort import make_cohort, read_places
from ats_mag.demo.run import run
from ats_mag.demo.slides import CLASSES, DOWNSAMPLES, SIDE, write_slide


@pytest.fixture(scope="module")
def levels(tmp_path_factory):
    """The pixels of each level of one slide, painted as each class."""
    folder = tmp_path_factory.mktemp("classes")
    found = {}
    for label in CLASSES:
        places = write_slide(folder / f"{label}.tif", label, np.random.default_rng(3))
        slide = openslide.OpenSlide(folder / f"{label}.tif")
        assert [round(d) for d in slide.level_downsamples] == list(DOWNSAMPLES)
        found[label] = [
            np.asarray(slide.read_region((0, 0), level, size).convert("RGB")).astype(int)
            for level, size in enumerate(slide.level_dimensions)
        ]
    return found, places


def test_each_cue_shows_at_one_level_and_the_overview_tells_nothing(levels):
    found, places = levels
    none, fine, coarse = (found[label] for label in ("none", "fine", "coarse"))
    np.testing.assert_array_equal(coarse[0], none[0])
    np.testing.assert_array_equal(coarse[2], none[2])
    for kind, other, level in (("fine", fine, 0), ("coarse", coarse, 1)):
        (place, *_) = (p for p in places if p.kind == kind)
        x, y, r = (v // DOWNSAMPLES[level] for v in (place.x, place.y, place.radius // 2))
        window = np.s_[y - r : y + r, x - r : x + r]
        assert np.abs(other[level][window] - none[level][window]).mean() > 20
        away = np.ones(none[level].shape[:2], bool)
        for p in places:
            if p.kind == kind:
                px, py, pr = (v // DOWNSAMPLES[level] for v in (p.x, p.y, p.radius))
                pr += 16  # a block of JPEG
                away[max(py - pr, 0) : py + pr, max(px - pr, 0) : px + pr] = False
        np.testing.assert_array_equal(other[level][away], none[level][away])
    # What a chequerboard leaves behind when it is averaged is rounding and JPEG.
    assert np.abs(fine[1] - none[1]).mean() < 0.5
    assert np.abs(fine[2] - none[2]).mean() < 0.5


def test_places_lie_inside_and_do_not_overlap(levels):
    _, places = levels
    for i, a in enumerate(places):
        assert a.radius < min(a.x, a.y)
        assert max(a.x, a.y) < SIDE - a.radius
        for b in places[:i]:
            assert np.hypot(a.x - b.x, a.y - b.y) > a.radius + b.radius


def test_cohort(tmp_path):
    done = list(make_cohort(tmp_path, 0, 3, 3))
    manifest = pd.read_csv(tmp_path / "manifest.csv")
    assert list(manifest["slide_id"]) == done
    assert set(read_places(tmp_path)) == set(done)
    assert not manifest[["patient_id", "split"]].drop_duplicates()["patient_id"].duplicated().any()
    assert (manifest.groupby(["split", "label"]).size() == 1).all()


@pytest.mark.long
def test_the_whole_way(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "ats_mag.model.training_step.DEFAULT_PARTS", 1
    )  # most of its time would go into tracing, once per part
    few = {"train.epochs": 1, "splits.validation": 0.25, "evaluate.resamples": 20}
    found = run(tmp_path, 0, Console(quiet=True), n_train=12, n_test=3, control=True, **few)
    assert json.loads((tmp_path / "results.json").read_text()) == found
    assert found["largest_difference_after_reload"] < 1e-5
    assert (tmp_path / "figure.png").stat().st_size > 10_000
    for shares in found["attention_on_places"].values():
        assert 0 <= shares["share_on_its_magnification"] <= 1
