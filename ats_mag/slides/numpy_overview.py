"""The view of a slide where there is no TensorFlow: `overview.view_slide` on NumPy arrays, pixel by pixel the same."""

from __future__ import annotations

import os

import numpy as np

from ats_mag.geometry.slide_geometry import MPP_UNIT
from ats_mag.slides import numpy_reader
from ats_mag.slides.overview import Overview
from ats_mag.slides.tissue_limits import BLACK, CLOSING_RADIUS, LEAST_SATURATION, OPENING_RADIUS


def view_slide(path: str | os.PathLike[str], overview_mpp: float, slide_mpp: float = float("nan")) -> Overview:
    """A slide's overview, tissue mask and geometry as NumPy arrays.

    Args:
        path: the slide.
        overview_mpp: um/px of the overview.
        slide_mpp: um/px of level 0; NaN means the file's own.

    Raises:
        FileNotFoundError, SlideError, ValueError: as `numpy_reader.read_overview` and `numpy_reader.slide_geometry`.
    """
    bounds, mpp = numpy_reader.slide_geometry(path, slide_mpp)
    image = numpy_reader.read_overview(path, overview_mpp, mpp)
    return Overview(image, tissue_mask(image), np.append(bounds, np.int64(np.round(mpp / MPP_UNIT))))


def tissue_mask(overview: np.ndarray) -> np.ndarray:
    """The mask of `tissue.tissue_mask` by scikit-image, which that one is tested against: `(h, w, 3)` -> `(h, w)`."""
    from skimage.filters import threshold_otsu
    from skimage.morphology import closing, disk, opening

    highest, lowest = overview.max(axis=-1).astype(np.int32), overview.min(axis=-1).astype(np.int32)
    saturation = (510 * (highest - lowest) + highest) // (2 * np.maximum(highest, 1))
    saturation = np.where(highest < BLACK, 0, saturation).astype(np.uint8)
    mask = saturation > max(threshold_otsu(saturation), LEAST_SATURATION)
    mask = opening(mask, disk(OPENING_RADIUS), mode="ignore")
    return closing(mask, disk(CLOSING_RADIUS), mode="ignore")
