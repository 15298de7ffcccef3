"""The tissue mask where there is no TensorFlow: `tissue.tissue_mask` on NumPy arrays, pixel by pixel the same."""

from __future__ import annotations

from typing import Any

import numpy as np

from ats_mag.slides.tissue_limits import BLACK, CLOSING_RADIUS, LEAST_SATURATION, OPENING_RADIUS
from ats_mag.slides.tissue_options import DEFAULT_TISSUE, TissueOptions
from ats_mag.slides.tissue_rules import Findings, find_tissue


def tissue_mask(overview: np.ndarray, options: TissueOptions = DEFAULT_TISSUE) -> np.ndarray:
    """See `tissue.tissue_mask`: `(h, w, 3)` uint8 -> `(h, w)` bool."""
    if options.method == "whole":
        return np.ones(overview.shape[:2], bool)
    by_otsu = options.method == "otsu"
    mask = _by_otsu(overview, options.saturation) if by_otsu else findings(overview, options).stained
    return _closed(_NumpyOps.opened(mask, OPENING_RADIUS), CLOSING_RADIUS)


def findings(overview: np.ndarray, options: TissueOptions = DEFAULT_TISSUE) -> Findings:
    """What the rules of `bounded` say of an overview, whatever the method."""
    return find_tissue(overview, options.saturation, options.ink == "keep", _NumpyOps)


def _by_otsu(overview: np.ndarray, threshold: int | None) -> np.ndarray:
    highest, lowest = overview.max(axis=-1).astype(np.int32), overview.min(axis=-1).astype(np.int32)
    saturation = (510 * (highest - lowest) + highest) // (2 * np.maximum(highest, 1))
    saturation = np.where(highest < BLACK, 0, saturation)
    if threshold is None:
        threshold = max(int(_NumpyOps.otsu(saturation)), LEAST_SATURATION)
    return saturation > threshold


def _closed(mask: np.ndarray, radius: int) -> np.ndarray:
    from skimage.morphology import closing, disk

    return closing(mask, disk(radius), mode="ignore")


class _NumpyOps:
    """`tissue_rules.ArrayOps` by NumPy and scikit-image."""

    where = staticmethod(np.where)
    maximum = staticmethod(np.maximum)
    minimum = staticmethod(np.minimum)
    cumsum = staticmethod(np.cumsum)
    argmax = staticmethod(np.argmax)

    @staticmethod
    def small(values: Any) -> Any:
        return np.asarray(values).astype(np.int16)

    @staticmethod
    def whole(values: Any) -> Any:
        return np.asarray(values).astype(np.int32)

    @staticmethod
    def pad(values: np.ndarray, width: int) -> np.ndarray:
        return np.pad(values, width)

    @staticmethod
    def total(values: np.ndarray) -> np.int64:
        return values.sum(dtype=np.int64)

    @staticmethod
    def arange(number: int) -> np.ndarray:
        return np.arange(number)

    @staticmethod
    def counts(values: np.ndarray, number: int) -> np.ndarray:
        return np.bincount(values.reshape(-1), minlength=number)

    @staticmethod
    def otsu(values: np.ndarray) -> int:
        from skimage.filters import threshold_otsu

        return int(threshold_otsu(values.astype(np.uint8)))

    @staticmethod
    def opened(mask: np.ndarray, radius: int) -> np.ndarray:
        from skimage.morphology import disk, opening

        return opening(mask, disk(radius), mode="ignore")

    @staticmethod
    def dilated(mask: np.ndarray, radius: int) -> np.ndarray:
        from skimage.morphology import dilation, disk

        return dilation(mask, disk(radius), mode="ignore")
