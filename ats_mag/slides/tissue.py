"""Where the tissue is: a mask of the overview.

TensorFlow ops only, so that preparing, training and a served model, which has no Python, see the same mask.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from ats_mag.slides.tissue_limits import BLACK, CLOSING_RADIUS, LEAST_SATURATION, OPENING_RADIUS
from ats_mag.slides.tissue_options import DEFAULT_TISSUE, TissueOptions
from ats_mag.slides.tissue_rules import find_tissue
from ats_mag.tensors import Tensor


def tissue_mask(overview: Tensor, options: TissueOptions = DEFAULT_TISSUE) -> tf.Tensor:
    """Which pixels of an overview show stained tissue, or what shines in fluorescence.

    By default the rules of `tissue_rules.find_tissue`; then, as with Otsu's threshold, an opening (disk of radius 1: specks and
    threads thinner than 3 pixels go) and a closing (disk of radius 2: pores fill up). Blank, grey and black overviews
    give an empty mask; white padding stays out.

    Source: thresholds of the saturation are usual in the field (Lu et al., "Data-efficient and weakly supervised computational
    pathology on whole-slide images", 2021), as are filters of pen by colour (histolab; deep-histopathology). `otsu`: Otsu, "A
    threshold selection method from gray-level histograms" (IEEE Trans. SMC 9, 1979), as in
    `skimage.filters.threshold_otsu`. Opening and closing as in scikit-image with `mode="ignore"`: what lies outside the
    overview never decides.

    Args:
        overview: `(h, w, 3)` uint8, RGB; sizes may be unknown while tracing.
        options: how tissue is found.

    Returns:
        `(h, w)` bool.

    Raises:
        ValueError: for another shape or dtype.
    """
    overview = tf.convert_to_tensor(overview)
    if overview.dtype != tf.uint8 or overview.shape.rank != 3 or overview.shape[-1] not in (3, None):
        raise ValueError(
            f"overview must be (h, w, 3) uint8. Received: shape {overview.shape}, dtype {overview.dtype.name}"
        )
    if options.method == "whole":
        return tf.ones(tf.shape(overview)[:2], tf.bool)
    if options.method == "otsu":
        mask = _by_otsu(overview, options.saturation)
    else:
        mask = find_tissue(overview, options.saturation, options.ink == "keep", _TensorOps).stained
    mask = _dilate(_erode(mask, OPENING_RADIUS), OPENING_RADIUS)
    return _erode(_dilate(mask, CLOSING_RADIUS), CLOSING_RADIUS)


def _by_otsu(overview: tf.Tensor, threshold: int | None) -> tf.Tensor:
    saturation = _saturation(overview)
    return saturation > (tf.maximum(_otsu(saturation), LEAST_SATURATION) if threshold is None else threshold)


def _saturation(overview: tf.Tensor) -> tf.Tensor:
    """Saturation (max - min) / max of HSV as `(h, w)` int32 in 0..255, rounded half up in exact integers."""
    highest = tf.cast(tf.reduce_max(overview, axis=-1), tf.int32)
    lowest = tf.cast(tf.reduce_min(overview, axis=-1), tf.int32)
    saturation = (510 * (highest - lowest) + highest) // (2 * tf.maximum(highest, 1))
    return tf.where(highest < BLACK, 0, saturation)


def _otsu(values: tf.Tensor) -> tf.Tensor:
    """Otsu's threshold of int32 values in 0..255; values above it are foreground.

    The types follow scikit-image's: counts are float32, means float64, so that even its ties are broken alike.
    """
    counts = tf.cast(tf.math.bincount(tf.reshape(values, [-1]), minlength=256, maxlength=256), tf.float32)
    weighted = tf.cast(counts, tf.float64) * tf.range(256, dtype=tf.float64)
    below = tf.cumsum(counts)[:-1]
    above = tf.cumsum(counts, reverse=True)[1:]
    mean_below = tf.math.divide_no_nan(tf.cumsum(weighted)[:-1], tf.cast(below, tf.float64))
    mean_above = tf.math.divide_no_nan(tf.cumsum(weighted, reverse=True)[1:], tf.cast(above, tf.float64))
    variance = tf.cast(below * above, tf.float64) * tf.square(mean_below - mean_above)  # `**` rounds lane by lane
    # A constant image has no threshold: nothing lies above its only value.
    return tf.maximum(tf.argmax(variance, output_type=tf.int32), tf.reduce_min(values))


def _dilate(mask: tf.Tensor, radius: int) -> tf.Tensor:
    """Dilation by a disk; outside counts as false."""
    side = np.arange(-radius, radius + 1)
    disk = (side[:, None] ** 2 + side**2 <= radius**2).astype(np.float32)
    picture = tf.cast(mask, tf.float32)[None, :, :, None]
    return tf.nn.conv2d(picture, disk[:, :, None, None], strides=1, padding="SAME")[0, :, :, 0] > 0.5


def _erode(mask: tf.Tensor, radius: int) -> tf.Tensor:
    """Erosion by a disk; outside counts as true."""
    return ~_dilate(~mask, radius)


class _TensorOps:
    """`tissue_rules.ArrayOps` by TensorFlow."""

    where = staticmethod(tf.where)
    maximum = staticmethod(tf.maximum)
    minimum = staticmethod(tf.minimum)
    cumsum = staticmethod(tf.cumsum)
    otsu = staticmethod(_otsu)

    @staticmethod
    def small(values: Any) -> tf.Tensor:
        return tf.cast(values, tf.int16)

    @staticmethod
    def whole(values: Any) -> tf.Tensor:
        return tf.cast(values, tf.int32)

    @staticmethod
    def pad(values: tf.Tensor, width: int) -> tf.Tensor:
        return tf.pad(values, [(width, width), (width, width)])

    @staticmethod
    def total(values: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(tf.cast(values, tf.int64))

    @staticmethod
    def counts(values: tf.Tensor, number: int) -> tf.Tensor:
        return tf.math.bincount(tf.reshape(values, [-1]), minlength=number, maxlength=number, dtype=tf.int64)

    @staticmethod
    def argmax(values: tf.Tensor) -> tf.Tensor:
        return tf.argmax(values, output_type=tf.int32)

    @staticmethod
    def arange(number: int) -> tf.Tensor:
        return tf.range(number, dtype=tf.int64)

    @staticmethod
    def opened(mask: tf.Tensor, radius: int) -> tf.Tensor:
        return _dilate(_erode(mask, radius), radius)

    @staticmethod
    def dilated(mask: tf.Tensor, radius: int) -> tf.Tensor:
        return _dilate(mask, radius)
