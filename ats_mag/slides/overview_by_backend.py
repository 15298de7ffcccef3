"""The view of a slide as NumPy arrays, by whatever the backend of Keras has to read slides with."""

from __future__ import annotations

import os

import numpy as np

from ats_mag.backend import on_tensorflow
from ats_mag.slides.overview import Overview
from ats_mag.slides.tissue_options import DEFAULT_TISSUE, TissueOptions


def view_by_backend(
    path: str | os.PathLike[str],
    overview_mpp: float,
    slide_mpp: float = float("nan"),
    tissue: TissueOptions = DEFAULT_TISSUE,
) -> Overview:
    """A slide's overview, tissue mask and geometry: by the ops that an exported model runs, or without TensorFlow.

    Args:
        path: the slide.
        overview_mpp: um/px of the overview.
        slide_mpp: um/px of level 0; NaN means the file's own.
        tissue: how tissue is found.

    Raises:
        tf.errors.OpError: as `overview.view_slide`, on TensorFlow.
        FileNotFoundError, SlideError, ValueError: as `numpy_overview.view_slide`, elsewhere.
    """
    if not on_tensorflow():
        from ats_mag.slides import numpy_overview as native_view

        return native_view.view_slide(path, overview_mpp, slide_mpp, tissue)
    from ats_mag.slides import overview

    return Overview(*map(np.asarray, overview.view_slide(path, overview_mpp, slide_mpp, tissue)))
