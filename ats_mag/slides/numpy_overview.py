"""The view of a slide where there is no TensorFlow: `overview.view_slide` on NumPy arrays, pixel by pixel the same."""

from __future__ import annotations

import os

import numpy as np

from ats_mag.geometry.slide_geometry import MPP_UNIT
from ats_mag.slides import numpy_reader
from ats_mag.slides.numpy_tissue import tissue_mask
from ats_mag.slides.overview import Overview
from ats_mag.slides.tissue_options import DEFAULT_TISSUE, TissueOptions


def view_slide(
    path: str | os.PathLike[str],
    overview_mpp: float,
    slide_mpp: float = float("nan"),
    tissue: TissueOptions = DEFAULT_TISSUE,
) -> Overview:
    """A slide's overview, tissue mask and geometry as NumPy arrays.

    Args:
        path: the slide.
        overview_mpp: um/px of the overview.
        slide_mpp: um/px of level 0; NaN means the file's own.
        tissue: how tissue is found.

    Raises:
        FileNotFoundError, SlideError, ValueError: as `numpy_reader.read_overview` and `numpy_reader.slide_geometry`.
    """
    bounds, mpp = numpy_reader.slide_geometry(path, slide_mpp)
    image = numpy_reader.read_overview(path, overview_mpp, mpp)
    return Overview(image, tissue_mask(image, tissue), np.append(bounds, np.int64(np.round(mpp / MPP_UNIT))))
