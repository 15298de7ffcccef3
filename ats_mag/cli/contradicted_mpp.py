"""Saying where slides are read at another resolution than their files state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ats_mag.cli.console import show_error

if TYPE_CHECKING:
    from ats_mag.prediction import CohortSlide

_LOOKED_AT = 20  # slides: to open thousands would keep the command from beginning
_SAME = 0.02


def note_contradicted_mpp(slides: Sequence[CohortSlide]) -> None:
    """One note where files state another um/px than `--mpp` or a manifest, which goes first: 20 may be meant as 20x."""
    from ats_mag.slides.errors import SlideError
    from ats_mag.slides.properties import slide_info

    found = []
    for slide in [slide for slide in slides if slide.mpp is not None][:_LOOKED_AT]:
        try:
            stated = slide_info(slide.path)
        except (OSError, ValueError, SlideError):  # which is told when it is its turn
            continue
        if slide.mpp is not None and stated.mpp is not None and abs(slide.mpp - stated.mpp) > _SAME * stated.mpp:
            found.append(
                f"{slide.slide_id}: {slide.mpp:g} um/px is taken, its file states {stated.mpp:.4g} ({stated.mpp_source})"
            )
    if found:
        more = f"; and so are {len(found) - 1} more of the first {_LOOKED_AT}" if len(found) > 1 else ""
        show_error(f"{found[0]}{more}", "note")
