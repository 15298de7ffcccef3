"""Where the scanned area of a slide lies and how fine it is: the slide's geometry, five integers."""

from __future__ import annotations

import numpy as np

from ats_mag.tensors import Geometry, Tensor

# Integers, because Keras casts floats to the compute dtype, which may be float16: x, y, width, height of the slide's bounds
# in level-0 pixels, and its mpp in units of `MPP_UNIT` um.
GEOMETRY_FIELDS = ("x", "y", "width", "height", "mpp_e7")
MPP_UNIT = 1e-7  # um/px


def slide_mpp(geometry: Geometry) -> Tensor:
    """um/px of level 0.

    Args:
        geometry: `(..., 5)` integers, see `GEOMETRY_FIELDS`.

    Returns:
        `(...)` float64: NumPy of a NumPy array, else a tensor.
    """
    steps = geometry[..., 4]
    if isinstance(geometry, np.ndarray):
        return np.asarray(steps, "float64") * MPP_UNIT
    from keras import ops  # late, as many need no more than this file's numbers

    return ops.cast(steps, "float64") * MPP_UNIT
