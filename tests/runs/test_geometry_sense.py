import pytest

from ats_mag.config.schema import RunConfig
from ats_mag.runs.geometry_sense import geometry_stops, geometry_warnings


def config(overview_mpp=8.0, **model):
    return RunConfig(prepare={"overview_mpp": overview_mpp}, model=model)


def test_the_defaults_make_sense():
    assert geometry_stops(config()) == geometry_warnings(config()) == []


@pytest.mark.parametrize("written", [20, "20", 10.0, 5])
def test_an_objective_without_its_x(written):
    (text,) = geometry_warnings(config(magnifications=[written, "20x"]))
    assert f'if the objective is meant, write "{float(written):g}x", which is {10 / float(written):g} um/px' in text


def test_patches_coarser_than_the_overview():
    (text,) = geometry_warnings(config(magnifications=[3.0, 0.5], overview_mpp=2.0))
    assert "has 3 um/px, coarser than the overviews (2 um/px)" in text


def test_cells_larger_than_patches():
    """A patch of 32 um in a cell of 64 um leaves three quarters of it out."""
    (text,) = geometry_warnings(config(magnifications=[0.5, 1.0], patch_size=64))
    assert "a cell is 64 um wide and a patch at 0.5 um/px 32 um: 75% of the tissue is never seen" in text


def test_fewer_patches_than_a_model_needs():
    assert "fewer than the 3 magnifications" in geometry_stops(config(magnifications=[1, 2, 3], n_patches=2))[0]
    assert "n_patches` to 4" in geometry_stops(config(n_patches=3, method="priority"))[0]
    assert geometry_stops(config(n_patches=4, method="priority")) == []
    assert geometry_stops(config(n_patches=1, magnifications=[1])) == []
