import pytest
from hypothesis import given
from hypothesis import strategies as st

from ats_mag.geometry.units import (
    LARGEST_DIFFERENCE,
    PLAUSIBLE_SLIDE_MPP,
    format_mpp,
    is_plausible_slide_mpp,
    parse_mpp,
    parse_slide_mpp,
)


@pytest.mark.parametrize(
    ("text", "mpp"),
    [
        ("20x", 0.5),
        ("40X", 0.25),
        ("40 ×", 0.25),
        ("1.25x", 8.0),
        ("0.5", 0.5),
        (0.5, 0.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("2.5e-1", 0.25),
        ("0.25 um/px", 0.25),
        ("0.5 um", 0.5),
        ("0.5 µm", 0.5),
        ("0.5μm/pixel", 0.5),
        ("0.5 microns per pixel", 0.5),
        ("2 mpp", 2.0),
        ("2 MPP", 2.0),
    ],
)
def test_spellings(text, mpp):
    assert parse_mpp(text) == mpp


@pytest.mark.parametrize(
    "text", ["", "x", "twenty", ".", "0.5 mm", "0.5 um px", "1..5", "-1", "nan", "inf", "0", "0x", "1e9", None]
)
def test_refuses_what_is_no_resolution(text):
    with pytest.raises(ValueError, match="Received"):
        parse_mpp(text)


@given(st.floats(0.05, 500))
def test_round_trip(mpp):
    assert parse_mpp(str(mpp)) == pytest.approx(mpp)
    assert format_mpp(mpp).startswith(f"{mpp:g} um/px")


@pytest.mark.parametrize("text", ["0.04", "51", "0.1x", "201x"])
def test_a_slide_has_a_narrower_range(text):
    with pytest.raises(ValueError, match=r"the resolution of a slide must lie in 0\.05\.\.50 um/px"):
        parse_slide_mpp(text)


def test_the_ends_of_the_range_are_plausible():
    low, high = PLAUSIBLE_SLIDE_MPP
    assert (parse_slide_mpp(low), parse_slide_mpp(high)) == (low, high)
    assert is_plausible_slide_mpp(low, low)
    assert is_plausible_slide_mpp(high, high / (1 + LARGEST_DIFFERENCE / 2))
    assert not is_plausible_slide_mpp(high, high / (1 + 2 * LARGEST_DIFFERENCE))
    assert not is_plausible_slide_mpp(high, high * 1.01)
