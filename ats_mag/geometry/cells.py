"""The lattice cells worth looking at."""

from __future__ import annotations

import math

from keras import ops

from ats_mag.tensors import TissueMask, ValidCells


def valid_cells(mask: TissueMask, stride: int, min_tissue: float = 0.05) -> ValidCells:
    """Which cells of the lattice hold enough tissue to be looked at.

    Args:
        mask: `(h, w)` or `(B, h, w)`, true on tissue. Sides that are no multiple of `stride` are padded with glass.
        stride: side of a cell in overview pixels.
        min_tissue: share of a cell's pixels, in [0, 1], that must be tissue. 0 makes every cell valid.

    Returns:
        `(H, W)` or `(B, H, W)` bool.

    Raises:
        ValueError: for a stride below 1, `min_tissue` outside [0, 1], or a mask of another rank.
    """
    if stride < 1 or int(stride) != stride:
        raise ValueError(f"stride must be a positive whole number of pixels. Received: stride={stride!r}")
    if not 0 <= min_tissue <= 1:
        raise ValueError(f"min_tissue must lie in [0, 1]. Received: min_tissue={min_tissue!r}")
    mask = ops.cast(ops.convert_to_tensor(mask), "int32")
    if len(mask.shape) not in (2, 3):
        raise ValueError(f"mask must have the shape (h, w) or (B, h, w). Received: shape {tuple(mask.shape)}")
    *batch, height, width = ops.shape(mask)
    mask = ops.pad(mask, [(0, 0)] * len(batch) + [(0, -height % stride), (0, -width % stride)])
    *_, height, width = ops.shape(mask)
    blocks = ops.reshape(mask, (*batch, height // stride, stride, width // stride, stride))
    # Whole pixels on both sides: 0.05 * 400 in floating point exceeds 20.
    least = math.ceil(min_tissue * stride**2 - 1e-6)
    return ops.sum(blocks, axis=(-3, -1)) >= least
