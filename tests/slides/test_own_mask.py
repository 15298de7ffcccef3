"""Tissue that somebody drew: pictures of any size, regions of QuPath, and what cannot be used."""

import json

import numpy as np
import pytest
import shapely
from backends import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ats_mag.slides.own_mask import OwnMaskError, find_own_mask, read_own_mask


def feature(geometry, name=None):
    classification = {} if name is None else {"classification": {"name": name}}
    return {"type": "Feature", "geometry": shapely.geometry.mapping(geometry), "properties": classification}


def write(path, *features, **more):
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features, **more}))
    return path


@settings(max_examples=examples(40), deadline=None)
@given(st.integers(1, 4), st.integers(5, 40), st.integers(5, 40), st.integers(0, 2**32 - 1))
def test_a_picture_of_any_size_is_the_mask(tmp_path_factory, scale, height, width, seed):
    mask = np.random.default_rng(seed).random((height, width)) < 0.5
    file = tmp_path_factory.mktemp("mask") / "m.png"
    Image.fromarray(mask.repeat(scale, 0).repeat(scale, 1).astype(np.uint8) * 200).save(file)
    np.testing.assert_array_equal(read_own_mask(file, mask.shape, (0, 0), 16.0), mask)
    np.testing.assert_array_equal(
        read_own_mask(file, (2 * height, 2 * width), (0, 0), 16.0), mask.repeat(2, 0).repeat(2, 1)
    )


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
def test_every_kind_of_picture(tmp_path, mode):
    mask = np.zeros((20, 30), bool)
    mask[5:10, 5:20] = True
    Image.fromarray(mask.astype(np.uint8) * 255).convert(mode).save(tmp_path / "m.png")
    np.testing.assert_array_equal(read_own_mask(tmp_path / "m.png", mask.shape, (0, 0), 4.0), mask)


@settings(max_examples=examples(40), deadline=None)
@given(st.lists(st.tuples(st.integers(-50, 400), st.integers(-50, 300)), min_size=3, max_size=9, unique=True))
def test_regions_cover_the_pixels_whose_centre_they_hold(tmp_path_factory, corners):
    polygon = shapely.make_valid(shapely.Polygon(corners))
    parts = [
        part for part in shapely.get_parts(shapely.get_parts(polygon)) if part.geom_type == "Polygon" and part.area
    ]
    file = write(tmp_path_factory.mktemp("regions") / "r.geojson", feature(shapely.Polygon(corners)))
    if not parts:
        with pytest.raises(OwnMaskError, match="no polygon"):
            read_own_mask(file, (20, 30), (0, 0), 10.0)
        return
    found = read_own_mask(file, (20, 30), (0, 0), 10.0)
    x, y = np.meshgrid((np.arange(30) + 0.5) * 10, (np.arange(20) + 0.5) * 10)
    expected = shapely.contains_xy(polygon, x, y)
    border = shapely.union_all([part.boundary for part in parts])
    near = shapely.distance(border, shapely.points(x, y)) < 1e-6
    np.testing.assert_array_equal(found[~near], expected[~near])


def test_holes_classes_and_origins(tmp_path):
    outer = shapely.box(0, 0, 100, 100).difference(shapely.box(20, 20, 40, 40))
    cut = shapely.box(60, 60, 100, 100)
    file = write(
        tmp_path / "r.geojson", feature(outer), feature(cut, "Ignore*"), feature(shapely.box(120, 0, 140, 20), "Tumor")
    )
    mask = read_own_mask(file, (16, 16), (1000, 500), 10.0)
    expected = np.zeros((16, 16), bool)
    expected[:10, :10] = True
    expected[2:4, 2:4] = expected[6:10, 6:10] = False
    expected[0:2, 12:14] = True
    np.testing.assert_array_equal(mask, expected)
    moved = [
        feature(shapely.transform(part, lambda xy: xy + np.array([1000, 500])))
        for part in (outer.difference(cut), shapely.box(120, 0, 140, 20))
    ]
    ours = write(tmp_path / "ours.geojson", *moved, ats_mag={"origin": "slide"})
    np.testing.assert_array_equal(read_own_mask(ours, (16, 16), (1000, 500), 10.0), expected)
    (tmp_path / "list.geojson").write_text(json.dumps([feature(shapely.box(0, 0, 20, 20))]))
    assert read_own_mask(tmp_path / "list.geojson", (16, 16), (0, 0), 10.0).sum() == 4


POLYGON = b'{"type": "Polygon", "coordinates": [[%s]]}'


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("m.png", b"not a picture", "cannot be read"),
        ("m.png", None, "proportions"),
        ("m.geojson", b"{", "cannot be read as GeoJSON"),
        ("m.geojson", b"17", "cannot be read as GeoJSON"),
        ("m.geojson", b'{"features": [{"geometry": {"type": "Polygon"}}]}', "cannot be read as GeoJSON"),
        ("m.geojson", POLYGON % b"[NaN, 0], [9, 9], [0, 9], [NaN, 0]", "cannot be read as GeoJSON"),
        ("m.geojson", POLYGON % b"[Infinity, 0], [9, 9], [0, 9], [Infinity, 0]", "cannot be read as GeoJSON"),
        ("m.geojson", POLYGON % b"[0, 0], [9, 9]", "cannot be read as GeoJSON"),
        ("m.geojson", b'{"features": []}', "no polygon"),
        ("m.geojson", b'{"features": [{"geometry": {"type": "Point", "coordinates": [1, 2]}}]}', "no polygon"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path, name, content, says):
    file = tmp_path / name
    if content is None:
        Image.new("L", (50, 50)).save(file)
    else:
        file.write_bytes(content)
    with pytest.raises(OwnMaskError, match=says) as error:
        read_own_mask(file, (20, 40), (0, 0), 4.0)
    assert str(file) in str(error.value)


def test_which_file_is_whose(tmp_path):
    assert find_own_mask("s1", None, None) is None
    assert find_own_mask("s1", float("nan"), tmp_path) is None
    (tmp_path / "s1.png").write_bytes(b"")
    (tmp_path / "other.geojson").write_bytes(b"")
    assert find_own_mask("s1", "", tmp_path) == str(tmp_path / "s1.png")
    assert find_own_mask("s1", "other.geojson", tmp_path) == str(tmp_path / "other.geojson")
    with pytest.raises(OwnMaskError, match="tissue_mask"):
        find_own_mask("s1", "gone.png", tmp_path)
    (tmp_path / "s1.geojson").write_bytes(b"")
    with pytest.raises(OwnMaskError, match="two tissue masks"):
        find_own_mask("s1", None, tmp_path)
