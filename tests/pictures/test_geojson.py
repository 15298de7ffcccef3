"""GeoJSON: valid geometries in level-0 pixels, QuPath's properties, and a patch's polygon shows the patch's pixels."""

import json
import uuid

import numpy as np
import openslide
import pytest
import shapely
from made_inspected import make_model

from ats_mag.pictures.geojson import feature_collection, write_geojson
from ats_mag.pictures.heaviest_patches import heaviest_first
from ats_mag.pictures.inspected_slide import inspect_slide


def geometries(collection):
    return [shapely.from_geojson(json.dumps(feature["geometry"])) for feature in collection["features"]]


def of_kind(collection, kind):
    return [f for f in collection["features"] if f["properties"]["objectType"] == kind]


@pytest.mark.parametrize("which", ["inspected", "bounded"])
def test_geometries_are_valid_by_the_rules(which, request):
    inspected = request.getfixturevalue(which)
    for origin in ("slide", "bounds"):
        for feature, geometry in zip(
            (found := feature_collection(inspected, origin))["features"], geometries(found), strict=True
        ):
            assert geometry.is_valid, shapely.is_valid_reason(geometry)
            parts = feature["geometry"]["coordinates"]
            for outer, *holes in parts if feature["geometry"]["type"] == "MultiPolygon" else [parts]:
                for ring, counterclockwise in ((outer, True), *((hole, False) for hole in holes)):
                    assert ring[0] == ring[-1]
                    assert len(ring) >= 4
                    assert shapely.is_ccw(shapely.linearrings(ring)) == counterclockwise


@pytest.mark.parametrize("which", ["inspected", "bounded"])
def test_a_patchs_polygon_cut_from_the_slide_shows_the_patch(which, request):
    inspected = request.getfixturevalue(which)
    collection = feature_collection(inspected)
    shift = np.array(inspected.geometry[:2])
    features = of_kind(collection, "annotation")
    assert len({f["properties"]["measurements"]["magnification (um/px)"] for f in features}) == 3
    moved = of_kind(feature_collection(inspected, "bounds"), "annotation")
    for i, feature, other in zip(heaviest_first(inspected), features, moved, strict=True):
        left, top, right, bottom = (
            int(v) for v in shapely.bounds(shapely.from_geojson(json.dumps(feature["geometry"])))
        )
        cut = _cut(inspected.slide, left, top, right - left, bottom - top, 32)
        assert np.abs(cut - inspected.patches[i]).max() <= 0.5 + 1e-6  # a mean, rounded
        corner = np.array(other["geometry"]["coordinates"][0][0])
        np.testing.assert_array_equal(corner + shift, (left, top))


def _cut(path, left, top, width, height, side):
    """A region as people cut it, scaled to `side` pixels: the nearest finer level, averaged."""
    with openslide.OpenSlide(path) as slide:
        level = slide.get_best_level_for_downsample(width / side)
        scale = slide.level_downsamples[level]
        region = slide.read_region((left, top), level, (round(width / scale), round(height / scale)))
    pixels = np.asarray(region, float)
    alpha = pixels[..., 3:] / 255
    pixels = pixels[..., :3] * alpha + 255 * (1 - alpha)
    step = len(pixels) // side
    return pixels.reshape(side, step, side, step, 3).mean((1, 3))


@pytest.mark.parametrize("which", ["inspected", "bounded"])
def test_bands_cover_each_cell_once_where_it_lies(which, request):
    inspected = request.getfixturevalue(which)
    collection = feature_collection(inspected)
    bands = of_kind(collection, "detection")
    assert len(bands) <= 5 * 3
    centre = np.array(inspected.geometry[:2]) + (np.array([[7, 5]]) + 0.5) * inspected.cell_px  # column 7, row 5
    for m, mpp in enumerate(inspected.lattice.magnifications):
        here = [f for f in bands if f["properties"]["measurements"]["magnification (um/px)"] == mpp]
        shapes = geometries({"features": here})
        total = sum(f["properties"]["measurements"]["attention"] for f in here)
        assert total == pytest.approx(inspected.attention[..., m].sum(), rel=1e-4)
        cells = (inspected.attention[..., m] > 0).sum()
        assert sum(f["properties"]["measurements"]["cells"] for f in here) == cells
        area = sum(shape.area for shape in shapes)
        assert area == pytest.approx(cells * inspected.cell_px**2)
        assert shapely.union_all(shapes).area == pytest.approx(area)  # none overlap
        assert inspected.attention[5, 7, m] > 0
        assert sum(shape.contains(shapely.points(centre[0])) for shape in shapes) == 1


def test_properties_are_those_of_qupath(inspected):
    collection = feature_collection(inspected)
    ids = [uuid.UUID(feature["id"]) for feature in collection["features"]]
    assert len(set(ids)) == len(ids)
    for feature in collection["features"]:
        properties = feature["properties"]
        assert properties["objectType"] in ("annotation", "detection")
        assert set(properties["classification"]) == {"name", "color"}
        assert ":" not in properties["classification"]["name"]  # QuPath would make two classes of it
        assert all(0 <= value <= 255 and isinstance(value, int) for value in properties["classification"]["color"])
        assert all(isinstance(value, float) for value in properties["measurements"].values())
    weights = [f["properties"]["measurements"]["weight"] for f in of_kind(collection, "annotation")]
    assert weights == sorted(weights, reverse=True)
    i, first = heaviest_first(inspected)[0], of_kind(collection, "annotation")[0]["properties"]["measurements"]
    for c, name in enumerate(inspected.classes):
        assert first[f"contribution {name}"] == pytest.approx(inspected.contribution[i, c], rel=1e-6)
    assert first["attention"] == pytest.approx(inspected.attention[tuple(inspected.index[i])], rel=1e-6)
    assert collection["ats_mag"]["bounds"] == [0, 0, 1336, 1536]


def test_the_file_loads_in_geopandas_and_draws_in_surplus_are_left_out(slide, tmp_path):
    geopandas = pytest.importorskip("geopandas")
    inspected = inspect_slide(make_model(("no", "yes"), head="binary", n_patches=4), slide, n_patches=1500)
    assert (inspected.weight == 0).any()
    write_geojson(inspected, tmp_path / "s.geojson")
    table = geopandas.read_file(tmp_path / "s.geojson")
    assert table.geometry.is_valid.all()
    patches = table[table["objectType"] == "annotation"]
    assert len(patches) == (inspected.attention > 0).sum()
    measurements = patches["measurements"].map(lambda m: json.loads(m) if isinstance(m, str) else m)
    assert [key for key in measurements.iloc[0] if key.startswith("contribution")] == ["contribution yes"]


def test_unknown_origins_are_refused(inspected):
    with pytest.raises(ValueError, match="origin must be 'slide' or 'bounds'"):
        feature_collection(inspected, "qupath")
