import numpy as np
import pytest
from backends import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from ats_mag.geometry.lattice import Lattice
from ats_mag.geometry.multiples import ceil_div, round_up


def test_a_cell_is_where_the_formula_says():
    lattice = Lattice(overview_mpp=8.0, stride=4, magnifications=(0.5, 2.0), patch_size=100)
    geometry = np.array([[1000, 2000, 50000, 50000, 2_500_000]])  # 0.25 um/px
    location, downsample = lattice.place(np.array([[[3, 5, 0], [3, 5, 1]]]), geometry)
    centre = np.array([1000 + 5.5 * 32 / 0.25, 2000 + 3.5 * 32 / 0.25])
    np.testing.assert_array_equal(downsample[0], [2, 8])
    np.testing.assert_array_equal(location[0], [centre - 100, centre - 400])


@settings(max_examples=examples(50), deadline=None)
@given(
    st.integers(0, 400),
    st.integers(0, 400),
    st.sampled_from([0, 1]),
    st.floats(0.1, 1.0),
    st.sampled_from([31, 64, 224]),
)
def test_patches_are_centred_on_their_cells(row, column, m, slide_mpp, patch_size):
    lattice = Lattice(overview_mpp=8.0, stride=8, magnifications=(0.5, 2.0), patch_size=patch_size)
    mpp_e7 = round(slide_mpp * 1e7)
    location, downsample = lattice.place(np.array([[[row, column, m]]]), np.array([[0, 0, 1, 1, mpp_e7]]))
    middle = np.asarray(location)[0, 0] + patch_size * float(downsample[0, 0]) / 2
    expected = (np.array([column, row]) + 0.5) * 64 / (mpp_e7 * 1e-7)
    assert np.abs(middle - expected).max() <= 0.5 + 1e-6  # a corner lies on a whole pixel
    assert float(downsample[0, 0]) * mpp_e7 * 1e-7 == pytest.approx(lattice.magnifications[m])


@settings(max_examples=examples(50), deadline=None)
@given(
    st.lists(st.integers(100, 3000), min_size=2, max_size=2),
    st.sampled_from([2_500_000, 5_000_000, 4_990_000]),
    st.sampled_from([31, 64, 224]),
)
def test_patches_that_lie_inside(size, mpp_e7, patch_size):
    lattice = Lattice(overview_mpp=8.0, stride=4, magnifications=(0.5, 2.0), patch_size=patch_size)
    geometry = np.array([[40, 70, *size, mpp_e7]])
    shape = lattice.shape(geometry[0])
    inside = np.asarray(lattice.inside(geometry, shape))[0]
    cells = np.array(list(np.ndindex(inside.shape)))
    location, downsample = (np.asarray(found)[0] for found in lattice.place(cells[None], geometry))
    begin = location - geometry[0, :2]
    end = begin + patch_size * downsample[:, None]
    beyond = np.maximum(-begin, end - size).max(axis=1).reshape(inside.shape)
    clear = np.abs(beyond) > 1  # a corner lies on a whole pixel
    np.testing.assert_array_equal(inside[clear], (beyond <= 0)[clear])


def test_field_of_view():
    assert Lattice(8.0, 8, (0.5, 2.0), 224).field_of_view_um(1) == 448


def test_a_slides_own_lattice():
    lattice = Lattice(overview_mpp=8.0, stride=4, magnifications=(0.5, 2.0), patch_size=100)
    geometry = np.array([300, 500, 1280, 1281, 5_000_000])  # 0.5 um/px: 80 x 80.06 pixels of the overview
    assert lattice.shape(geometry) == lattice.shape_of_overview((81, 80)) == (21, 20)
    assert lattice.cell_count((21, 20)) == 840
    assert (lattice.cell_px(0.5), lattice.overview_px(0.5)) == (64, 16)
    x, y = lattice.centres(geometry, (21, 20))
    assert (len(x), len(y)) == (20, 21)
    location, downsample = lattice.place(np.array([[[7, 5, 1]]]), geometry[None])
    middle = np.asarray(location)[0, 0] + 50 * float(downsample[0, 0])
    np.testing.assert_allclose(middle, [x[5], y[7]], atol=0.5)
    um = np.asarray(lattice.centres_um(np.array([[[7, 5, 1]]])))
    np.testing.assert_allclose(um[0, 0], (np.array([x[5], y[7]]) - geometry[:2]) * 0.5, rtol=1e-6)


@given(st.integers(1, 10**5), st.integers(1, 10**5), st.integers(500_000, 10**7), st.sampled_from([2, 4, 8, 16]))
def test_the_lattice_of_whole_cells_has_no_cell_more(rows, columns, mpp_e7, stride):
    cell = 16  # level-0 pixels
    lattice = Lattice(cell * mpp_e7 * 1e-7 / stride, stride, (0.5,), 32)
    assert lattice.shape(np.array([7, 9, columns * cell, rows * cell, mpp_e7])) == (rows, columns)


@given(st.integers(1, 300), st.sampled_from([1, 2, 4, 8, 128]))
def test_the_smallest_overview_holds_all_patches(n_patches, stride):
    lattice = Lattice(8.0, stride, (0.5,), 32)
    multiple = lattice.overview_multiple(n_patches)
    assert multiple % stride == 0
    assert multiple >= 64
    assert lattice.cell_count(lattice.shape_of_overview((multiple, multiple))) >= n_patches


@given(st.integers(0, 1000), st.integers(1, 70))
def test_rounding_up(length, multiple):
    assert round_up(length, multiple) == multiple * ceil_div(length, multiple)
    assert 0 <= round_up(length, multiple) - length < multiple
