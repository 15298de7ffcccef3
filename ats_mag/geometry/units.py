"""Resolution: micrometres per pixel (mpp) is the only unit inside; "20x" is a spelling of 0.5 um/px."""

from __future__ import annotations

import re

MPP_OF_1X = 10.0  # um/px; by convention 10x is 1 um/px, 20x is 0.5, 40x is 0.25
PLAUSIBLE_MPP = (0.05, 500.0)

_MAGNIFICATION = re.compile(r"(\d+(?:\.\d+)?)\s*[xX×]")
_LENGTH = re.compile(r"(\d+(?:\.\d+)?(?:[eE]-?\d+)?)\s*(?:um/px|µm/px|mpp)?")


def parse_mpp(value: float | str) -> float:
    """A resolution in um/px from a number, or a text such as "0.5", "0.5 um/px" or "20x".

    Raises:
        ValueError: where it is neither, or outside 0.05..500 um/px.
    """
    text = str(value).strip()
    if match := _MAGNIFICATION.fullmatch(text):
        power = float(match[1])
        mpp = MPP_OF_1X / power if power > 0 else 0.0
    elif match := _LENGTH.fullmatch(text):
        mpp = float(match[1])
    else:
        raise ValueError(f'a resolution is um/px (0.5) or a magnification ("20x"). Received: {value!r}')
    low, high = PLAUSIBLE_MPP
    if not low <= mpp <= high:
        raise ValueError(f"a resolution must lie in {low}..{high:g} um/px. Received: {value!r} = {mpp:g} um/px")
    return mpp


def format_mpp(mpp: float) -> str:
    """For people: "0.5 um/px (20x)"."""
    return f"{mpp:g} um/px ({MPP_OF_1X / mpp:g}x)"
