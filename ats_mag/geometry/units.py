"""Resolution: micrometres per pixel (mpp) is the only unit inside; "20x" is a spelling of 0.5 um/px."""

from __future__ import annotations

import re

MPP_OF_1X = 10.0  # um/px; by convention 10x is 1 um/px, 20x is 0.5, 40x is 0.25
RESOLUTIONS = (0.05, 500.0)  # um/px that overviews and patches may be read at
# um/px that a microscope's slide may have at level 0, and by how much x and y may differ, as a share of the smaller one;
# `op/mpp.cc` has the same numbers.
PLAUSIBLE_SLIDE_MPP = (0.05, 50.0)
LARGEST_DIFFERENCE = 0.10

_NUMBER = r"((?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
_MAGNIFICATION = re.compile(rf"{_NUMBER}\s*[x×]", re.IGNORECASE)
_MICROMETRES = r"[uµμ]m|microns?|micromet(?:er|re)s?"
_LENGTH = re.compile(rf"{_NUMBER}\s*(?:(?:{_MICROMETRES})(?:\s*(?:/|per)\s*(?:px|pixel))?|mpp)?", re.IGNORECASE)


def parse_mpp(value: float | str) -> float:
    """A resolution in um/px from a number, or a text such as "0.5", ".5", "0.5 um", "0.5 um/px" or "20x".

    Raises:
        ValueError: where it is neither, or outside of `RESOLUTIONS`.
    """
    return _parsed(value, RESOLUTIONS, "a resolution")


def parse_slide_mpp(value: float | str) -> float:
    """As `parse_mpp`, of a slide's own level 0.

    Raises:
        ValueError: where it is neither, or outside of `PLAUSIBLE_SLIDE_MPP`.
    """
    return _parsed(value, PLAUSIBLE_SLIDE_MPP, "the resolution of a slide")


def is_plausible_slide_mpp(x: float, y: float) -> bool:
    """Whether a slide may have these um/px along x and y at level 0."""
    low, high = PLAUSIBLE_SLIDE_MPP
    return low <= x <= high and low <= y <= high and abs(x - y) <= LARGEST_DIFFERENCE * min(x, y)


def _parsed(value: float | str, bounds: tuple[float, float], what: str) -> float:
    text = str(value).strip()
    if match := _MAGNIFICATION.fullmatch(text):
        power = float(match[1])
        mpp = MPP_OF_1X / power if power > 0 else 0.0
    elif match := _LENGTH.fullmatch(text):
        mpp = float(match[1])
    else:
        raise ValueError(f'a resolution is um/px (0.5) or a magnification ("20x"). Received: {value!r}')
    low, high = bounds
    if not low <= mpp <= high:
        raise ValueError(f"{what} must lie in {low}..{high:g} um/px. Received: {value!r} = {mpp:g} um/px")
    return mpp


def format_mpp(mpp: float) -> str:
    """For people: "0.5 um/px (20x)"."""
    return f"{mpp:g} um/px ({MPP_OF_1X / mpp:g}x)"
