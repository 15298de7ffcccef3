"""The low-resolution view of a slide that the attention network sees, and the cells it may look at."""

from __future__ import annotations

import os
from typing import NamedTuple

from ats_mag.geometry.multiples import round_up
from ats_mag.geometry.slide_geometry import MPP_UNIT
from ats_mag.slides.tissue_options import DEFAULT_TISSUE, TissueOptions
from ats_mag.tensors import Tensor

WHITE = 255


class Overview(NamedTuple):
    """What `prepare` stores of a slide and what an exported model computes from its path: the same code.

    Attributes:
        image: `(h, w, 3)` uint8.
        mask: `(h, w)` bool, tissue.
        geometry: `(5,)` int64, see `slide_geometry.GEOMETRY_FIELDS`.
    """

    image: Tensor
    mask: Tensor
    geometry: Tensor


def view_slide(
    path: Tensor | str | os.PathLike[str],
    overview_mpp: float,
    slide_mpp: Tensor | float = float("nan"),
    tissue: TissueOptions = DEFAULT_TISSUE,
) -> Overview:
    """Reads a slide's overview, tissue mask and geometry with TensorFlow ops.

    Args:
        path: one path.
        overview_mpp: um/px of the overview.
        slide_mpp: um/px of level 0; NaN means the file's own.
        tissue: how tissue is found.

    Raises:
        tf.errors.OpError: as `read_overview` and `slide_geometry`.
    """
    import tensorflow as tf  # the rest of this file is needed without it, too

    from ats_mag.slides.reader import read_overview, slide_geometry
    from ats_mag.slides.tissue import tissue_mask

    path = path if tf.is_tensor(path) else tf.constant(os.fsencode(path))  # the bytes, which need not be UTF-8
    slide_mpp = tf.cast(slide_mpp, tf.float64)
    bounds, mpp = slide_geometry(tf.reshape(path, (1,)), tf.reshape(slide_mpp, (1,)))
    image = read_overview(path, overview_mpp, mpp[0])
    steps = tf.cast(tf.round(mpp / MPP_UNIT), tf.int64)
    return Overview(image, tissue_mask(image, tissue), tf.concat([bounds[0], steps], axis=0))


def pad_to_multiple(image: Tensor, multiple: int, value: int) -> Tensor:
    """Pads `(h, w, ...)` on the right and at the bottom to multiples of `multiple`, at least one."""
    import tensorflow as tf

    shape = tf.shape(image)[:2]
    short = tf.maximum(round_up(shape, multiple), multiple) - shape
    paddings = tf.concat(
        [tf.stack([tf.zeros(2, tf.int32), short], axis=1), tf.zeros((image.shape.rank - 2, 2), tf.int32)], axis=0
    )
    return tf.pad(
        image, paddings, constant_values=tf.cast(value, image.dtype) if image.dtype != tf.bool else bool(value)
    )
