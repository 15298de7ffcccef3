"""Bands of attention are highest-density regions."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ats_mag.pictures.bands import SHARES, attention_bands, band_name

MAPS = hnp.arrays(
    float, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.floats(0, 1).map(lambda v: v**6)
)


@given(MAPS)
def test_bands_are_the_smallest_areas_that_hold_their_share(attention):
    bands = attention_bands(attention)
    np.testing.assert_array_equal(bands == -1, attention == 0)
    total = attention.sum()
    for k, share in enumerate(SHARES):
        inside = (bands >= 0) & (bands <= k)
        if total == 0:
            assert not inside.any()
            continue
        assert attention[inside].sum() >= share * total * (1 - 1e-9)
        # Without its faintest cell it would not do.
        assert attention[inside].sum() - attention[inside].min() <= share * total * (1 + 1e-9)
        if (~inside).any():
            assert attention[inside].min() >= attention[~inside].max()


def test_names():
    assert [band_name(k) for k in range(5)] == ["top 25 %", "25-50 %", "50-75 %", "75-90 %", "90-100 %"]
