"""Changes of a training slide that overview, lattice and patches undergo together: turns, and colours.

A turn is one of the eight symmetries of a square, numbered by three bits that apply in this order: 1 transpose, 2 flip
the rows, 4 flip the columns. The overview is turned as a whole; a cell drawn on it is led back to the slide, read there
as ever, and its patch is turned. So a turned slide is what a scanner would have given of the turned glass.
"""

from __future__ import annotations

import numpy as np
from keras import ops

from ats_mag.tensors import Index, Patches, Tensor

TURNS = 8
COLOUR_FIELDS = ("haematoxylin", "eosin", "residual", "gamma", "contrast")

# Optical densities (rows: haematoxylin, eosin, residual; columns: red, green, blue) of Ruifrok & Johnston,
# "Quantification of histochemical staining by color deconvolution" (2001), as in `skimage.color.rgb2hed`.
RGB_FROM_HED = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
_DARKEST = 1 / 512  # of white's intensity, so that black has a density


def original_cells(index: Index, turn: Tensor, stride: int) -> Index:
    """The cells of the slide as it lies, of cells drawn on its turned overview.

    Args:
        index: `(B, N, 3)` integers (row, column, magnification) on the turned overview.
        turn: `(B, 3)` integers: the turn, and the rows and columns of the turned overview in pixels, multiples of
            `stride`, before the batch was padded.
        stride: overview pixels per cell.

    Returns:
        `(B, N, 3)` int32.
    """
    index, turn = ops.cast(index, "int32"), ops.cast(turn, "int32")
    transpose, flip_rows, flip_columns = (bit[:, None] for bit in _bits(turn[:, 0]))
    row, column = index[..., 0], index[..., 1]
    column = ops.where(flip_columns, turn[:, 2:3] // stride - 1 - column, column)
    row = ops.where(flip_rows, turn[:, 1:2] // stride - 1 - row, row)
    row, column = ops.where(transpose, column, row), ops.where(transpose, row, column)
    return ops.stack([row, column, index[..., 2]], axis=-1)


def turn_patches(patches: Patches, turn: Tensor) -> Patches:
    """Patches `(B, N, P, P, 3)`, those of each slide turned as its overview was, see `original_cells`."""
    transpose, flip_rows, flip_columns = (
        bit[:, None, None, None, None] for bit in _bits(ops.cast(turn, "int32")[:, 0])
    )
    patches = ops.where(transpose, ops.swapaxes(patches, 2, 3), patches)
    patches = ops.where(flip_rows, ops.flip(patches, axis=2), patches)
    return ops.where(flip_columns, ops.flip(patches, axis=3), patches)


def recolour(images: Tensor, colour: Tensor) -> Tensor:
    """Images as another laboratory would have stained and another scanner lit them; white stays white.

    The density of each stain is scaled: with ``D = -log(rgb / 255)`` and M = `RGB_FROM_HED`, D becomes
    ``D M^-1 diag(h, e, r) M`` (the multiplicative part of the stain augmentation of Tellez et al., "Whole-slide mitosis
    detection in H&E breast histology using PHH3 as a reference to train distilled stain-invariant convolutional
    networks", 2018). Then a power of the intensity, `gamma`, changes the brightness, and its distance from white is
    scaled by `contrast`.

    Args:
        images: `(B, ..., 3)` uint8.
        colour: `(B, 5)`, see `COLOUR_FIELDS`; ones change nothing.

    Returns:
        `(B, ..., 3)` uint8.
    """
    colour = ops.cast(colour, "float32")
    shape = ops.shape(images)
    intensity = ops.cast(ops.reshape(images, (shape[0], -1, 3)), "float32") / 255.0
    density = -ops.log(ops.maximum(intensity, _DARKEST))
    mix = ops.convert_to_tensor(RGB_FROM_HED.astype("float32"))
    unmix = ops.convert_to_tensor(np.linalg.inv(RGB_FROM_HED).astype("float32"))
    change = ops.matmul(unmix[None] * colour[:, None, :3], mix)
    intensity = ops.clip(ops.exp(-ops.matmul(density, change)), 0.0, 1.0)
    intensity = intensity ** colour[:, 3, None, None]
    intensity = ops.maximum(1.0 - colour[:, 4, None, None] * (1.0 - intensity), 0.0)
    return ops.reshape(ops.cast(ops.round(intensity * 255.0), "uint8"), shape)


def _bits(turn: Tensor) -> list[Tensor]:
    """Whether to transpose, flip rows and flip columns."""
    return [turn // 2**bit % 2 == 1 for bit in range(3)]
