"""Attention as a picture to lay over a slide: the one way in which pictures, the viewer and TensorBoard draw it."""

from __future__ import annotations

import numpy as np

ATTENTION_MAP = "magma"  # of matplotlib: little to much


def attention_rgba(
    attention: np.ndarray, highest: float | None = None, colour: tuple[int, int, int] | None = None
) -> np.ndarray:
    """Attention as a layer to lay over a slide: the more, the less transparent.

    Without a colour both lightness and opacity follow the square root of the attention, or else little but the few densest
    cells would be seen. With one, the opacity is the share of the highest attention.

    Args:
        attention: of any shape.
        highest: the value of the end of the scale, e.g. the largest of all magnifications. None: the largest of these.
        colour: red, green and blue of the layer, 0 to 255. None: those of `ATTENTION_MAP`, lighter for more.

    Returns:
        The shape of `attention` and 4, uint8: RGBA, not premultiplied. No attention is fully transparent.
    """
    highest = float(attention.max()) if highest is None else highest
    share = np.clip(attention / highest, 0, 1) if highest > 0 else np.zeros_like(attention)
    level = np.sqrt(share) if colour is None else share
    if colour is None:
        import matplotlib

        layer = matplotlib.colormaps[ATTENTION_MAP](0.2 + 0.8 * level, bytes=True)
    else:
        layer = np.empty((*attention.shape, 4), np.uint8)
        layer[..., :3] = colour
    layer[..., 3] = np.round(255 * level)
    return layer


def lay_over(overview: np.ndarray, layer: np.ndarray) -> np.ndarray:
    """An overview `(h, w, 3)` uint8 with a layer `(H, W, 4)` of its cells over it; whole cells, as overviews are padded to."""
    rows, columns = (side // cells for side, cells in zip(overview.shape[:2], layer.shape[:2], strict=True))
    pixels = np.repeat(np.repeat(layer, rows, axis=0), columns, axis=1)
    opacity = pixels[..., 3:] / 255
    return np.round((1 - opacity) * overview + opacity * pixels[..., :3]).astype(np.uint8)
