"""What a slide file says about itself, as plain Python."""

import json
import os
from dataclasses import dataclass

from ats_mag.slides.numpy_reader import slide_json


@dataclass(frozen=True)
class SlideInfo:
    """A slide's properties. Sizes are (width, height); `level_*` have one entry per level, the finest first."""

    path: str
    vendor: str | None
    dimensions: tuple[int, int]
    level_dimensions: tuple[tuple[int, int], ...]
    level_downsamples: tuple[float, ...]  # level-0 pixels per pixel of the level
    level_mpp: tuple[float, ...] | None  # um/px; None when `mpp` is
    tile_dimensions: tuple[tuple[int, int] | None, ...]  # None where the file does not say
    level_readers: tuple[str, ...]  # "direct", or "OpenSlide: " and why the level is not read directly
    mpp: float | None  # um/px of level 0; None when unknown or implausible
    mpp_source: (
        str | None
    )  # "argument", "ome.PhysicalSizeX", "openslide.mpp-x", "aperio.MPP", "tiff.XResolution"...; None when unknown
    mpp_problem: str | None  # why the value found is refused, and what to do
    objective_power: float | None  # for display: never taken as a resolution
    bounds: tuple[int, int, int, int]  # x, y, width, height in level-0 pixels
    background: tuple[int, int, int]  # RGB: the slide's own colour, or white
    quickhash: str | None  # OpenSlide's hash that identifies the slide
    other_pages: tuple[str, ...] = ()  # pages that OpenSlide takes for levels and that show something else, and why


def slide_info(path: str | os.PathLike[str], slide_mpp: float | None = None) -> SlideInfo:
    """Reads the properties of one slide.

    Args:
        path: the slide file.
        slide_mpp: its resolution in um/px, where known better than from the file.

    Returns:
        A `SlideInfo`. An unknown or implausible resolution is no error here: see its `mpp` and `mpp_problem`.

    Raises:
        FileNotFoundError: the file does not exist.
        SlideError: it is no slide.
    """
    stated = json.loads(slide_json(path, float("nan") if slide_mpp is None else slide_mpp))
    downsamples = tuple(float(downsample) for downsample in stated["level_downsamples"])
    found = None if stated["mpp_problem"] else stated["mpp"]
    level_dimensions = tuple(_pair(size) for size in stated["level_dimensions"])
    left, top, width, height = stated["bounds"]
    red, green, blue = stated["background"]
    return SlideInfo(
        path=os.fspath(path),
        vendor=stated["vendor"],
        dimensions=level_dimensions[0],
        level_dimensions=level_dimensions,
        level_downsamples=downsamples,
        level_mpp=None if found is None else tuple(found * downsample for downsample in downsamples),
        tile_dimensions=tuple(None if size is None else _pair(size) for size in stated["tile_dimensions"]),
        level_readers=tuple("direct" if why is None else f"OpenSlide: {why}" for why in stated["not_direct"]),
        mpp=found,
        mpp_source=stated["mpp_source"],
        mpp_problem=stated["mpp_problem"],
        objective_power=_number(stated["objective_power"]),
        bounds=(left, top, width, height),
        background=(red, green, blue),
        quickhash=stated["quickhash"],
        other_pages=tuple(f"{width} x {height} px: {why}" for width, height, why in stated["other_pages"]),
    )


def _pair(values: list[int]) -> tuple[int, int]:
    first, second = values
    return first, second


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
