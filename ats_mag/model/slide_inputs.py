"""The inputs of a model for slides that are given by path."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ats_mag.geometry.multiples import round_up
from ats_mag.slides.overview import WHITE
from ats_mag.slides.overview_by_backend import view_by_backend
from ats_mag.slides.own_mask import own_mask
from ats_mag.slides.paths import encode_paths
from ats_mag.slides.tissue_options import DEFAULT_TISSUE, TissueOptions


def slide_inputs(
    paths: Sequence[str],
    overview_mpp: float,
    multiple: int,
    slide_mpp: float | Sequence[float] = float("nan"),
    empty_mask: str = "error",
    tissue: TissueOptions = DEFAULT_TISSUE,
    masks: Sequence[str | None] | None = None,
) -> dict[str, np.ndarray]:
    """The inputs of a `SlideClassifier` for slides given by path, without records: a batch of all of them.

    Args:
        paths: the slides.
        overview_mpp: um/px of the overviews.
        multiple: overviews are padded to multiples of it, see `SlideClassifier.overview_multiple`.
        slide_mpp: um/px of level 0, of all slides or of each; NaN means the files' own.
        empty_mask: a slide without tissue is an `error`, or has its `whole` area looked at.
        tissue: how tissue is found, `SlideClassifier.tissue`.
        masks: files in which somebody drew the tissue of each instead, see `slides.own_mask`; None, or None of a slide: nobody did.

    Returns:
        NumPy arrays, see `SlideClassifier`. They need TensorFlow only where Keras runs on it.

    Raises:
        ValueError: a slide without tissue.
        OwnMaskError: a mask that cannot be used.
        tf.errors.OpError: see `overview.view_slide`; on another backend than TensorFlow, ordinary exceptions instead.
    """
    each = slide_mpp if isinstance(slide_mpp, Sequence) else [slide_mpp] * len(paths)
    views = [view_by_backend(path, overview_mpp, mpp, tissue) for path, mpp in zip(paths, each, strict=True)]
    if not views:
        return _no_slides(multiple)
    if masks is not None:
        views = [
            view if mask is None else view._replace(mask=own_mask(mask, view, overview_mpp))
            for view, mask in zip(views, masks, strict=True)
        ]
    if empty_mask == "whole":
        views = [v if np.any(v.mask) else v._replace(mask=np.ones(v.mask.shape, bool)) for v in views]
    for path, view, mask in zip(paths, views, masks or [None] * len(views), strict=True):
        if not np.any(view.mask):
            why = "no tissue was found on" if mask is None else f"the tissue mask {mask!r} leaves nothing of"
            raise ValueError(f"{why} slide {path!r}: nothing can be predicted of it")
    height, width = (round_up(max(view.mask.shape[axis] for view in views), multiple) for axis in (0, 1))

    def padded(arrays: list[np.ndarray], value: int) -> np.ndarray:
        margins = [((0, height - a.shape[0]), (0, width - a.shape[1]), *[(0, 0)] * (a.ndim - 2)) for a in arrays]
        return np.stack([np.pad(a, m, constant_values=value) for a, m in zip(arrays, margins, strict=True)])

    return {
        "overview": padded([view.image for view in views], WHITE),
        "mask": padded([view.mask for view in views], 0),
        "path": encode_paths(paths),
        "geometry": np.stack([view.geometry for view in views]),
        "overview_mpp": np.full(len(views), overview_mpp, "float32"),
    }


def _no_slides(multiple: int) -> dict[str, np.ndarray]:
    sides = (0, multiple, multiple)
    return {
        "overview": np.zeros((*sides, 3), "uint8"),
        "mask": np.zeros(sides, bool),
        "path": encode_paths([]),
        "geometry": np.zeros((0, 5), "int64"),
        "overview_mpp": np.zeros(0, "float32"),
    }
