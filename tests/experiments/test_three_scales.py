"""Slides of three scales, of made tiles: what they show, and every kind of contestant once, in little."""

import itertools
import json

import numpy as np
import pytest
from PIL import Image

from data_prep.colon_tiles import MPP
from data_prep.three_scale_slides.cohort import make_cohort
from data_prep.three_scale_slides.layout import CLASSES, KINDS, MAGNIFICATIONS, Cohort, pixels_of, plan
from data_prep.three_scale_slides.paint import CELL, paint, stamps

pytestmark = pytest.mark.needs_tensorflow


@pytest.fixture
def _in_one_part(monkeypatch):
    """Steps of one part: most of their time would go into tracing, once per part."""
    monkeypatch.setattr("ats_mag.model.training_step.DEFAULT_PARTS", 1)


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    """Healthy tiles are noise, the others stripes of the same colour."""
    folder = tmp_path_factory.mktemp("tiles")
    rng = np.random.default_rng(0)
    for split in ("training", "test"):
        for kind in ("AC", "H"):
            (folder / split / kind).mkdir(parents=True)
            for i in range(8):
                small = rng.integers(60, 200, (32, 32, 3))
                if kind == "AC":
                    small = small * 0 + 60 + 140 * (np.arange(32) // 2 % 2)[:, None, None]
                pixels = np.repeat(np.repeat(small, 7, 0), 7, 1).astype(np.uint8)
                Image.fromarray(pixels).save(folder / split / kind / f"{i}.png")
    return folder


LITTLE = Cohort(train=4, validation=2, test=2, tissue_side=(9, 10), places=1)


@pytest.fixture(scope="module")
def folder(tiles, tmp_path_factory):
    out = tmp_path_factory.mktemp("three-scales")
    assert len(list(make_cohort(tiles, out, LITTLE, 1))) == 8
    return out


@pytest.mark.parametrize("kind", range(3))
def test_places_lie_on_tissue_and_do_not_touch(kind):
    cohort = Cohort()
    for seed in range(10):
        slide = plan(kind, cohort, np.random.default_rng(seed))
        taken = np.zeros(slide.tissue.shape, int)
        assert [(p.kind, p.side) for p in slide.places] == [(kind, cohort.place_side[kind])] * cohort.places
        for _, row, column, side in slide.places:
            assert slide.tissue[row : row + side, column : column + side].all()
            taken[row - 1 : row + side + 1, column - 1 : column + side + 1] += 1
            assert taken[row : row + side, column : column + side].max() == 1


@pytest.mark.parametrize("kind", range(3))
def test_the_classes_differ_in_the_places_at_one_magnification(tiles, kind):
    """Slides of the same random numbers: all pixels are alike, but for those of the places at their magnification."""
    cohort = LITTLE
    slide = plan(kind, cohort, np.random.default_rng(3))
    healthy, cancer = (paint(tiles, "train", label, slide, cohort, np.random.default_rng(4)) for label in CLASSES)
    for band, mpp in enumerate(MAGNIFICATIONS):
        differ = (healthy[band] != cancer[band]).any(-1)
        inside = np.zeros(differ.shape, bool)
        for place in slide.places:
            inside[pixels_of(place, round(CELL * MPP / mpp))] = True
        assert not differ[~inside].any()
        assert differ[inside].mean() > 0.5 if band == kind else not differ.any()


def test_every_magnification_is_a_level_painted_for_itself(folder):
    import openslide

    with openslide.OpenSlide(folder / "slides" / "train-0000.tiff") as slide:
        assert [round(MPP * d, 3) for d in slide.level_downsamples] == [0.5, 2.0, 8.0, 32.0]
        sizes = slide.level_dimensions
        views = [np.asarray(slide.read_region((0, 0), level, sizes[level]).convert("L"), float) for level in range(3)]
    for fine, coarse in itertools.pairwise(views):
        averaged = fine.reshape(coarse.shape[0], 4, coarse.shape[1], 4).mean((1, 3))
        assert np.abs(averaged - coarse)[coarse < 200].mean() > 5


def test_splits_share_no_tile(tiles):
    train, validation = (stamps(tiles, split, "H") for split in ("train", "validation"))
    assert len(train) + len(validation) == 8
    assert not {s.tobytes() for s in train} & {s.tobytes() for s in validation}


def test_another_cohort_in_the_same_folder_is_refused(tiles, folder):
    with pytest.raises(ValueError, match="holds slides of other settings"):
        next(make_cohort(tiles, folder, Cohort(train=9), 1))


def test_cells_of_places(folder):
    from ats_mag.geometry.lattice import Lattice
    from experiments.three_scales.data import Cohort as Slides

    cohort = Slides(folder, 32.0)
    lattice = Lattice(32.0, 2, (0.5, 2.0, 8.0), 32)
    for record in cohort.records["test"]:
        kind = cohort.places[record["slide_id"]]["kind"]
        side = LITTLE.place_side[KINDS.index(kind)]
        counts = {k: cohort.inside(record, k, lattice, (20, 20)).sum() for k in KINDS}
        assert counts == {**dict.fromkeys(KINDS, 0), kind: LITTLE.places * side**2}


def test_an_unfinished_cohort_is_named(tmp_path):
    from experiments.three_scales.data import Cohort as Slides

    with pytest.raises(
        FileNotFoundError, match=r"holds no finished cohort: run `python -m data_prep\.three_scale_slides"
    ):
        Slides(tmp_path, 32.0)


@pytest.mark.usefixtures("_in_one_part")
@pytest.mark.parametrize(
    "contestant",
    [
        pytest.param("joint, gradient of 0.2", marks=pytest.mark.long),
        pytest.param("all patches, every magnification", marks=pytest.mark.long),
        "colour",
    ],
)
def test_contestants(folder, tmp_path, contestant):
    from experiments.three_scales import contestants, experiment
    from experiments.three_scales.data import Cohort as Slides

    experiment.measure(contestant, 0, Slides(folder, 32.0), tmp_path, quick=True)
    found = json.loads(contestants.path_of(contestant, 0, tmp_path).read_text())
    assert np.array(found["test_probabilities"]).shape == (2, 2)
    assert 0 <= found["test"]["accuracy"] <= 1
    if contestant != "colour":
        assert [row["epoch"] for row in found["history"]] == ([2] if contestant.startswith("all") else [1, 2])
        assert all(0 <= kind["attention"] <= 1 for kind in found["places"].values())


@pytest.mark.long
def test_features_of_joint_are_those_of_its_model(folder, tmp_path):
    from experiments.three_scales import contestants, experiment
    from experiments.three_scales.data import Cohort as Slides
    from experiments.three_scales.model import classifier
    from experiments.three_scales.results import FEATURES
    from experiments.three_scales.settings import Settings

    cohort = Slides(folder, 32.0)
    with pytest.raises(FileNotFoundError, match="run `joint, priority` with that seed first"):
        experiment.measure(FEATURES, 5, cohort, tmp_path, quick=True)
    (folder / "models").mkdir(exist_ok=True)
    classifier(Settings(seed=5)).save(folder / "models" / "joint-priority-seed5.keras")
    experiment.measure(FEATURES, 5, cohort, tmp_path, quick=True)
    found = json.loads(contestants.path_of(FEATURES, 5, tmp_path).read_text())
    assert np.array(found["test_probabilities"]).shape == (2, 2)
    assert found["patches_per_slide"] > 100


@pytest.mark.long
@pytest.mark.usefixtures("_in_one_part")
def test_seconds_of_a_training_step(folder):
    from experiments.ratios.training import training
    from experiments.three_scales.data import Cohort as Slides
    from experiments.three_scales.settings import Settings

    found = training(Slides(folder, 32.0), Settings(batch_size=4, magnifications=(2.0,)), turns=1)
    assert found["slides"] == 4
    assert found["times_joint"]["joint"] == 1
    assert found["sweep_times_joint"] == pytest.approx(found["times_joint"]["single, 2 um/px"])
    assert found["patches_per_slide"]["all patches"] > 40


@pytest.mark.long
def test_moments_of_the_gradient(folder, tmp_path):
    from experiments.gradient_variance import experiment
    from experiments.three_scales.data import Cohort as Slides
    from experiments.three_scales.model import classifier
    from experiments.three_scales.settings import Settings

    classifier(Settings(seed=1)).save(tmp_path / "model.keras")
    cohort = Slides(folder, 32.0)
    rows = experiment.measure(cohort, Settings(), tmp_path / "model.keras", slides=1, ns=[64], draws=1000)["rows"]
    assert [(row["model"], row["method"]) for row in rows] == list(
        itertools.product(("untrained", "trained"), experiment.METHODS)
    )
    for row in rows:
        if row["method"] in ("sequential", "replacement"):  # unbiased: no more than the error of the mean of the draws
            assert row["relative_bias"] < 2 * row["monte_carlo_error_of_bias"]


@pytest.mark.parametrize(
    ("uniform", "parts"),
    [
        (False, [(0, 20, False, True), (20, 30, True, False), (30, 40, True, True)]),
        (True, [(0, 40, False, True)]),
    ],
)
def test_features_are_trained_first_then_the_attention_then_all(uniform, parts):
    from types import SimpleNamespace

    from experiments.three_scales.model import fit
    from experiments.three_scales.settings import Settings

    done = []
    model = SimpleNamespace(
        attention=SimpleNamespace(),
        feature=SimpleNamespace(),
        compile=lambda optimizer: None,
        fit=lambda data, epochs, initial_epoch, **options: done.append(
            (initial_epoch, epochs, model.attention.trainable, model.feature.trainable)
        ),
    )
    fit(model, None, Settings(uniform=uniform), 45, [])
    assert done == parts
