"""Slides composed of tiles: valid, small places, recorded truly, from their own split's tiles, the same every time."""

import json

import numpy as np
import openslide
import pytest
from PIL import Image

from ats_mag.cohort.manifest import read_manifest
from data_prep.colon_tiles import GLASS, MPP, SPLITS, TILE
from data_prep.synthetic_slides.cohort import DOWNSAMPLES, make_cohort
from data_prep.synthetic_slides.layout import LABELS, Cohort, compose
from data_prep.synthetic_slides.paint import paint, stain

pytestmark = pytest.mark.needs_tensorflow  # it forks workers, which JAX's threads forbid


COHORT = Cohort(train=2, test=2, seed=3, tissue_side=(8, 9), places=1, place_side=1)


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    """Random textures: `AC` fine, `H` coarse, each file with colours of its own."""
    folder = tmp_path_factory.mktemp("tiles")
    rng = np.random.default_rng(0)
    for split in ("training", "test"):
        for kind, grain in (("AC", 2), ("H", 16)):
            (folder / split / kind).mkdir(parents=True)
            for i in range(3):
                coarse = rng.integers(60, 230, (TILE // grain, TILE // grain, 3), dtype=np.uint8)
                pixels = coarse.repeat(grain, 0).repeat(grain, 1)
                Image.fromarray(pixels).save(folder / split / kind / f"{kind}_{i}.png")
    return folder


@pytest.fixture(scope="module")
def folder(tiles, tmp_path_factory):
    out = tmp_path_factory.mktemp("slides")
    assert len(list(make_cohort(tiles, out, COHORT, workers=1))) == 4
    return out


def test_manifest_is_valid_and_slides_open_at_their_resolution(folder):
    manifest = read_manifest(folder / "manifest.csv")
    assert sorted(manifest["label"]) == ["cancer", "cancer", "healthy", "healthy"]
    assert sorted(manifest["split"]) == ["test", "test", "train", "train"]
    assert (manifest["mpp"] == MPP).all()
    for path in manifest["path"]:
        with openslide.OpenSlide(folder / path) as slide:
            assert slide.level_downsamples == tuple(map(float, DOWNSAMPLES))


def test_places_take_at_most_2_percent_of_the_tissue_in_both_classes(folder):
    for slide in json.loads((folder / "places.json").read_text()).values():
        tiles_in_places = sum((place["side"] // TILE) ** 2 for place in slide["places"])
        assert 0 < tiles_in_places <= 0.02 * slide["tissue_tiles"]


def test_places_hold_the_tiles_of_the_class_and_of_the_split_and_are_denser(folder):
    manifest = read_manifest(folder / "manifest.csv").set_index("slide_id")
    for slide_id, record in json.loads((folder / "places.json").read_text()).items():
        kind = LABELS[manifest["label"][slide_id]]
        own_folder = SPLITS[manifest["split"][slide_id]]
        with openslide.OpenSlide(folder / manifest["path"][slide_id]) as slide:
            whole = np.asarray(slide.read_region((0, 0), 0, slide.dimensions).convert("RGB"))
        tissue = whole[(whole < GLASS - 5).any(-1)]
        for place in record["places"]:
            names = [name for row in place["tiles"] for name in row]
            assert all(name.startswith(f"{own_folder}/{kind}/") for name in names)
            inside = whole[place["y"] : place["y"] + place["side"], place["x"] : place["x"] + place["side"]].astype(
                float
            )
            assert inside.mean() < tissue.mean() - 15
            # the fine texture of AC tiles changes every 2 pixels, the coarse one of H every 16
            changes = np.abs(np.diff(inside.mean(-1), axis=1)).mean()
            assert (changes > 5) == (kind == "AC")


@pytest.mark.parametrize("split", ["train", "test"])
def test_every_tile_comes_from_the_folder_of_its_split(tiles, split):
    slide = compose(tiles, split, "cancer", COHORT, np.random.default_rng(1))
    names = [name for name in slide.tiles.flat if name]
    assert {name.split("/")[0] for name in names} == {SPLITS[split]}
    assert sum("/AC/" in name for name in names) == slide.inside_place.sum() == 1


def test_classes_differ_in_the_places_only(tiles):
    slides = {c: compose(tiles, "train", c, COHORT, np.random.default_rng(1)) for c in ("healthy", "cancer")}
    healthy, cancer = slides["healthy"], slides["cancer"]
    assert healthy.places == cancer.places
    np.testing.assert_array_equal(healthy.tiles != cancer.tiles, healthy.inside_place)
    painted = {c: list(paint(tiles, slide, COHORT, np.random.default_rng(2))) for c, slide in slides.items()}
    differs = [not np.array_equal(*pair) for pair in zip(painted["healthy"], painted["cancer"], strict=True)]
    np.testing.assert_array_equal(differs, healthy.inside_place.ravel())


def test_stain_reaches_the_same_density_whatever_the_tile(tiles):
    mean, deviation = np.array([0.4, 0.7, 0.5]), np.array([0.1, 0.12, 0.1])
    for name in ("training/AC/AC_0.png", "training/H/H_0.png"):
        pixels = stain(tiles / name, mean, deviation, np.zeros((2, 2)))
        density = -np.log((pixels + 8.0) / 263.0).reshape(-1, 3)
        np.testing.assert_allclose(density.mean(0), mean, atol=0.01)
        np.testing.assert_allclose(density.std(0), deviation, atol=0.01)


def test_same_seed_same_bytes(tiles, folder, tmp_path):
    list(make_cohort(tiles, tmp_path, COHORT, workers=2))
    for file in sorted(folder.rglob("*.*")):
        if file.is_file():
            assert file.read_bytes() == (tmp_path / file.relative_to(folder)).read_bytes(), file.name


def test_another_seed_makes_other_slides(tiles):
    slides = [compose(tiles, "train", "cancer", COHORT, np.random.default_rng(seed)) for seed in (1, 2)]
    assert slides[0].tiles.tolist() != slides[1].tiles.tolist()


def test_interrupted_run_is_completed_and_another_cohort_refused(tiles, tmp_path):
    list(make_cohort(tiles, tmp_path, COHORT, workers=1))
    first, second = sorted((tmp_path / "slides").iterdir())[:2]
    kept = first.stat().st_mtime_ns
    second.unlink()
    list(make_cohort(tiles, tmp_path, COHORT, workers=1))
    assert second.exists()
    assert first.stat().st_mtime_ns == kept
    with pytest.raises(ValueError, match="other settings"):
        list(make_cohort(tiles, tmp_path, COHORT.model_copy(update={"seed": 4})))


def test_too_little_tissue_for_the_places_is_refused(tiles):
    cohort = COHORT.model_copy(update={"tissue_side": (5, 6)})
    with pytest.raises(ValueError, match="more than 2%"):
        compose(tiles, "train", "cancer", cohort, np.random.default_rng(0))
    with pytest.raises(ValueError, match="holds no tiles"):
        compose(tiles / "absent", "train", "cancer", COHORT, np.random.default_rng(0))
