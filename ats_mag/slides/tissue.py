"""Where the tissue is: a mask of the overview.

TensorFlow ops only, so that preparing, training and a served model, which has no Python, see the same mask.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from ats_mag.slides.tissue_limits import BLACK, CLOSING_RADIUS, LEAST_SATURATION, OPENING_RADIUS
from ats_mag.tensors import Tensor


def tissue_mask(overview: Tensor) -> tf.Tensor:
    """Which pixels of an overview show stained tissue.

    Otsu's threshold on the saturation, then an opening (disk of radius 1: specks and threads thinner than 3 pixels go)
    and a closing (disk of radius 2: pores fill up). Blank, grey and constant overviews give an empty mask; white
    padding stays out.

    Source: Otsu, "A threshold selection method from gray-level histograms" (IEEE Trans. SMC 9, 1979), as in
    `skimage.filters.threshold_otsu`; opening and closing as in scikit-image with `mode="ignore"`: what lies outside the
    overview never decides.

    Args:
        overview: `(h, w, 3)` uint8, RGB; sizes may be unknown while tracing.

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
    saturation = _saturation(overview)
    threshold = tf.maximum(_otsu(saturation), LEAST_SATURATION)
    mask = saturation > threshold
    mask = _dilate(_erode(mask, OPENING_RADIUS), OPENING_RADIUS)
    return _erode(_dilate(mask, CLOSING_RADIUS), CLOSING_RADIUS)


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
