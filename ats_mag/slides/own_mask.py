"""Tissue as somebody drew it: a mask as PNG, or regions of QuPath as GeoJSON."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ats_mag.geometry.slide_geometry import slide_mpp

if TYPE_CHECKING:
    import pandas as pd

    from ats_mag.slides.overview import Overview

SUFFIXES = (".png", ".geojson")
COLUMN = "tissue_mask"  # of a manifest, for files of other names
CUT_OUT = ("ignore*", "ignore", "exclude", "artefact", "artifact")  # classes of QuPath's, in small letters
_PROPORTIONS = 0.02  # by which a mask's may differ from the slide's
_PIXELS = 2  # by which those of tiny masks may differ whatever the share


class OwnMaskError(ValueError):
    """A mask that cannot be used; the message names the file and the mend."""


def find_own_mask(
    slide_id: str,
    stated: object,
    folder: str | os.PathLike[str] | None,
    beside: str | os.PathLike[str] = "",
) -> str | None:
    """The file that says where a slide's tissue is; None: there is none.

    Args:
        slide_id: of the slide.
        stated: what the manifest's column `tissue_mask` says: a path, relative to `folder`. Empty or no text: nothing.
        folder: of masks named by slide id, `ID.png` or `ID.geojson`; None: there is none.
        beside: folder that `stated` is relative to where there is no `folder`.

    Raises:
        OwnMaskError: the file that the manifest names is not there, or there are two.
    """
    if isinstance(stated, str) and stated:
        file = Path(beside if folder is None else folder) / stated
        if not file.is_file():
            raise OwnMaskError(
                f"the tissue mask {str(file)!r} of slide {slide_id!r} is not there: correct the manifest's column `{COLUMN}` "
                "(paths are relative to the folder of masks, `prepare.tissue.masks` or --tissue-masks), or leave it empty"
            )
        return str(file)
    files = [] if folder is None else [Path(folder) / (slide_id + suffix) for suffix in SUFFIXES]
    found = [str(file) for file in files if file.is_file()]
    if len(found) > 1:
        raise OwnMaskError(
            f"slide {slide_id!r} has two tissue masks, {' and '.join(map(repr, found))}: keep one of them"
        )
    return found[0] if found else None


def check_mask_folder(folder: str | os.PathLike[str] | None) -> None:
    """Makes sure that it is there, if there is one.

    Raises:
        OwnMaskError: it is not.
    """
    if folder is not None and not os.path.isdir(folder):
        raise OwnMaskError(
            f"the folder of tissue masks {os.fspath(folder)!r} is not there: correct `prepare.tissue.masks` or --tissue-masks"
        )


def own_masks(manifest: pd.DataFrame, folder: str | os.PathLike[str] | None) -> list[str | None]:
    """The file of each slide of a manifest, see `find_own_mask`.

    Raises:
        OwnMaskError: as `find_own_mask`, or the folder is not there.
    """
    check_mask_folder(folder)
    stated = manifest[COLUMN] if COLUMN in manifest else [None] * len(manifest)
    return [find_own_mask(slide_id, file, folder) for slide_id, file in zip(manifest["slide_id"], stated, strict=True)]


def own_mask(path: str | os.PathLike[str], view: Overview, overview_mpp: float) -> np.ndarray:
    """The mask of a file on a slide's view, see `read_own_mask`."""
    corner = (int(view.geometry[0]), int(view.geometry[1]))
    return read_own_mask(path, view.image.shape[:2], corner, overview_mpp / float(slide_mpp(view.geometry)))


def read_own_mask(
    path: str | os.PathLike[str], shape: tuple[int, int], corner: tuple[int, int], overview_px: float
) -> np.ndarray:
    """A mask on the pixels of an overview.

    Of a picture, everything but 0 is tissue; it may be of any size, if of the slide's proportions. Of GeoJSON, what lies in a
    polygon is tissue, but for polygons whose class is one of `CUT_OUT`. Coordinates are pixels of level 0 from the corner of the
    scanned area, as QuPath has them, or from that of level 0, where the file says so as `pictures.geojson` writes it.

    Args:
        path: the file.
        shape: (h, w) of the overview.
        corner: level-0 (x, y) of the scanned area.
        overview_px: level-0 pixels per overview pixel.

    Returns:
        `(h, w)` bool.

    Raises:
        OwnMaskError: no such picture or GeoJSON, other proportions, or no polygon.
    """
    path = os.fspath(path)
    if path.lower().endswith(".geojson"):
        return _of_regions(path, shape, corner, overview_px)
    return _of_picture(path, shape)


def _of_picture(path: str, shape: tuple[int, int]) -> np.ndarray:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            pixels: np.ndarray = np.asarray(picture.convert("RGB")).max(axis=-1) > 0
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, ValueError) as error:
        raise OwnMaskError(
            f"the tissue mask {path!r} cannot be read ({error}): write it as PNG, 0 where there is no tissue"
        ) from error
    scale = max(shape) / max(pixels.shape)
    if any(
        abs(side * scale - expected) > max(_PROPORTIONS * expected, _PIXELS * max(scale, 1))
        for side, expected in zip(pixels.shape, shape, strict=True)
    ):
        raise OwnMaskError(
            f"the tissue mask {path!r} is {pixels.shape[1]} x {pixels.shape[0]} pixels; a mask of the whole slide has the "
            f"proportions of its overview, {shape[1]} x {shape[0]}: draw it on the whole slide"
        )
    rows, columns = (
        np.minimum(((np.arange(n) + 0.5) * side / n).astype(int), side - 1)
        for n, side in zip(shape, pixels.shape, strict=True)
    )
    return pixels[rows[:, None], columns[None]]


def _of_regions(path: str, shape: tuple[int, int], corner: tuple[int, int], overview_px: float) -> np.ndarray:
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
        features, origin = _features(content)
        shift = np.array(corner if origin == "slide" else (0, 0))
        mask, cut = np.zeros(shape, bool), np.zeros(shape, bool)
        polygons = 0
        for feature in features:
            kept = cut if _class_of(feature).lower() in CUT_OUT else mask
            for polygon in _polygons(feature.get("geometry", feature)):
                _fill(kept, polygon, shift, overview_px)
                polygons += 1
    except (OSError, ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise OwnMaskError(
            f"the regions {path!r} cannot be read as GeoJSON ({error}): export them from QuPath again"
        ) from error
    if not polygons:
        raise OwnMaskError(f"the regions {path!r} hold no polygon: draw areas, not points or lines, or remove the file")
    return mask & ~cut


def _features(content: Any) -> tuple[list[dict[str, Any]], str]:
    """The features of a collection, of a list as older QuPath writes it, or of one; and where (0, 0) lies."""
    if isinstance(content, list):
        return content, "bounds"
    origin = content.get("ats_mag", {}).get("origin", "bounds")
    return content.get("features", [content]), origin


def _class_of(feature: dict[str, Any]) -> str:
    classified = (feature.get("properties") or {}).get("classification") or {}
    return str(classified.get("name") or "")


def _polygons(geometry: dict[str, Any]) -> list[Any]:
    import shapely
    from shapely.geometry import shape

    try:
        whole = shapely.make_valid(shape(geometry))
    except shapely.errors.ShapelyError as error:
        raise ValueError(str(error)) from error
    if not np.isfinite(shapely.get_coordinates(whole)).all():
        raise ValueError("a corner of a polygon is no finite number")
    return [
        part for part in shapely.get_parts(shapely.get_parts(whole)) if part.geom_type == "Polygon" and part.area > 0
    ]


def _fill(mask: np.ndarray, polygon: Any, shift: np.ndarray, overview_px: float) -> None:
    """Sets the pixels whose centre lies in a polygon and not in its holes."""
    from skimage.draw import polygon as pixels_in

    inside = np.zeros_like(mask)
    for ring, value in [(polygon.exterior, True), *((hole, False) for hole in polygon.interiors)]:
        x, y = ((np.asarray(ring.coords)[:, :2] - shift) / overview_px - 0.5).T
        inside[pixels_in(y, x, mask.shape)] = value
    mask |= inside
