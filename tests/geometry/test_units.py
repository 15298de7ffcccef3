import pytest
from hypothesis import given
from hypothesis import strategies as st

from ats_mag.geometry.units import format_mpp, parse_mpp


@pytest.mark.parametrize(
    ("text", "mpp"),
    [("20x", 0.5), ("40X", 0.25), ("1.25x", 8.0), ("0.5", 0.5), (0.5, 0.5), ("0.25 um/px", 0.25), ("2 mpp", 2.0)],
)
def test_spellings(text, mpp):
    assert parse_mpp(text) == mpp


@pytest.mark.parametrize("text", ["", "x", "twenty", "-1", "nan", "inf", "0", "0x", "1e9", None])
def test_refuses_what_is_no_resolution(text):
    with pytest.raises(ValueError, match="Received"):
        parse_mpp(text)


@given(st.floats(0.05, 500))
def test_round_trip(mpp):
    assert parse_mpp(str(mpp)) == pytest.approx(mpp)
    assert format_mpp(mpp).startswith(f"{mpp:g} um/px")
