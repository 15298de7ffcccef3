"""The panel: which slides its derived cohorts have, where attention lies, and its tables."""

import json

import numpy as np
import pandas as pd
import pytest

from ats_mag.geometry.lattice import Lattice
from experiments.panel import comparison, places, table
from experiments.panel.cohorts import COHORTS, MADE, MANIFEST, PLACES, Sources, make_once


@pytest.fixture
def whole(tmp_path):
    """A cohort of 200 training and 10 test slides that is made already."""
    folder = tmp_path / "crc-tiles"
    folder.mkdir()
    rows = [
        (f"{split}-{i}", split, ("healthy", "cancer")[i % 2])
        for split, n in (("train", 200), ("test", 10))
        for i in range(n)
    ]
    pd.DataFrame(rows, columns=["slide_id", "split", "label"]).to_csv(folder / MANIFEST, index=False)
    (folder / PLACES).write_text("{}")
    (folder / MADE).touch()
    return tmp_path


@pytest.mark.parametrize(("name", "counts"), [("crc-tiles-40", (20, 20)), ("crc-tiles-rare", (95, 5))])
def test_cohorts_of_a_cohort_share_its_slides_and_its_test_part(whole, name, counts):
    slides = make_once(name, whole, Sources(tiles=whole), development=False)
    assert slides == whole / "crc-tiles"
    found = pd.read_csv(whole / name / MANIFEST)
    train = found[found["split"] == "train"]["label"].value_counts()
    assert (train["healthy"], train["cancer"]) == counts
    assert (found["split"] == "test").sum() == 10
    assert make_once(name, whole, Sources(), development=False) == slides  # it is there


def test_the_cohorts_of_development_are_not_those_of_the_test():
    assert all(cohort.test != cohort.development for cohort in COHORTS.values())


def test_cells_of_a_kind_are_those_whose_centre_lies_in_its_places():
    lattice = Lattice(8.0, 2, (0.5, 2.0), 32)  # cells of 16 um, 32 pixels of level 0
    centres = (np.arange(10) * 32 + 16.0, np.arange(10) * 32 + 16.0)
    here = type(
        "L", (), {"centres": staticmethod(lambda geometry, shape: centres), "magnifications": lattice.magnifications}
    )
    found = places._inside(
        {"places": [{"kind": "fine", "x": 32, "y": 64, "side": 64}]}, {"geometry": None}, here, (10, 10)
    )
    assert np.argwhere(found["fine"]).tolist() == [[2, 1], [2, 2], [3, 1], [3, 2]]
    share = places._share("middle", np.array([0.1, 0.3]), lattice)
    assert share == {"attention": pytest.approx(0.4), "share_on_its_magnification": pytest.approx(0.75)}
    assert "share_on_its_magnification" not in places._share("coarse", np.array([0.1, 0.3]), lattice)


def run(seed, accuracy, contestant="joint", **more):
    measures = {name: {"value": accuracy, "low": 0.0, "high": 1.0} for name in ("accuracy", "auroc")}
    return {"configuration": {"contestant": contestant, "seed": seed}, "slides": {"measures": measures}, **more}


def test_the_least_seed_is_told(tmp_path):
    folder = tmp_path / "three-scales"
    folder.mkdir()
    for seed, (accuracy, share) in enumerate([(0.9, 0.95), (1.0, 0.85)]):
        kinds = {kind: {"attention": 0.5, "share_on_its_magnification": share} for kind in ("fine", "coarse")}
        (folder / f"joint-seed{seed}.json").write_text(json.dumps(run(seed, accuracy, places=kinds)))
    (folder / "uniform-seed0.json").write_text(json.dumps(run(0, 0.5, "uniform")))
    row = table.panel(tmp_path).splitlines()[-1].strip("| ").split(" | ")
    assert row[:4] == ["three-scales", "2", "0.950 (0.900 to 1.000)", "0.950 (0.900 to 1.000)"]
    assert row[4:] == [
        "0.500",
        "0.50",
        "0.85",
    ]  # of uniform draws, and of the attention; what was not run has no column
    with pytest.raises(FileNotFoundError):
        table.panel(tmp_path / "none")


def test_an_ablation_has_a_row_for_each_part(tmp_path):
    (tmp_path / "crc-tiles").mkdir()
    for name in ("joint", "not held"):
        (tmp_path / "crc-tiles" / f"{name.replace(' ', '-')}-seed0.json").write_text(json.dumps(run(0, 0.75, name)))
    rows = table.ablation("crc-tiles", tmp_path).splitlines()
    assert [row.split(" | ")[0].strip("| ") for row in rows[2:]] == [
        "the default",
        "attention free from the first step",
    ]


def test_contestants_are_compared_slide_by_slide(tmp_path):
    folder = tmp_path / "crc-tiles"
    folder.mkdir()

    def write(contestant, seed, right, **more):
        found = run(seed, right.count("1") / len(right), contestant, right=right, **more)
        found["configuration"] |= {"slides": "7, abc", "model": {"test_method": None, "test_n_patches": 45}}
        found["slides"]["count"] = len(right)
        found.setdefault("seconds", {"train": {"processor": 100.0}})
        (folder / f"{contestant.replace(' ', '-')}-seed{seed}.json").write_text(json.dumps(found))

    for seed in (0, 1):
        write("joint", seed, "1111")
        about = {"patches_per_slide": 300.0, "training_seconds": 4.0, "encoding_seconds": 2.0}
        write("all patches", seed, "1010", about=[about])
    timed = {"seconds": {"joint": {"processor": 0.5}, "all patches": {"processor": 7.0}}}
    (tmp_path / "inference-crc-tiles.json").write_text(json.dumps(timed))
    rows = [line.strip("| ").split(" | ") for line in comparison.comparison(tmp_path).splitlines()[2:]]
    assert rows[0] == ["crc-tiles", "joint", "2", "1.000", "", "45", "100", "0.5"]
    assert rows[1][:3] == ["all patches, gated attention", "2", "0.500"]
    assert rows[1][3].startswith("+0.500 (")
    assert rows[1][4:] == ["300", "10", "7"]  # 4 s of training, and 3 slides that were encoded for it
    with pytest.raises(FileNotFoundError):
        comparison.comparison(tmp_path / "none")
