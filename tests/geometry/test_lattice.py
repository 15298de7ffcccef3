import numpy as np
import pytest
from backends import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from ats_mag.geometry.lattice import Lattice


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


def test_field_of_view():
    assert Lattice(8.0, 8, (0.5, 2.0), 224).field_of_view_um(1) == 448
