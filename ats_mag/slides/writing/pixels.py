"""Decoded pixels of any kind as 8-bit RGB, or a clear refusal."""

from __future__ import annotations

import numpy as np

from ats_mag.slides.errors import SlideError


def to_rgb(
    pixels: np.ndarray,
    name: str,
    white: int | None = None,
    palette: np.ndarray | None = None,
    inverted: bool = False,
    premultiplied: bool = False,
) -> np.ndarray:
    """Grey, grey with alpha, RGB, RGBA or palette indices, of 1, 8 or 16 bits, as `(H, W, 3)` uint8.

    Args:
        pixels: `(H, W)` or `(H, W, C)`, C = 1 to 4; bool, uint8 or uint16.
        name: of the file, for messages.
        white: value of white, needed for uint16.
        palette: `(3, K)` uint16: pixels are indices into it.
        inverted: 0 is white (grey only).
        premultiplied: the colours are already weighted with alpha.

    Raises:
        SlideError: another type or number of channels, or uint16 without `white`.
    """
    if palette is not None:
        return (palette.T[pixels[..., 0] if pixels.ndim == 3 else pixels] >> 8).astype(np.uint8)
    if pixels.dtype == np.bool_:
        pixels = pixels.astype(np.uint8) * np.uint8(255)
    elif pixels.dtype == np.uint16:
        pixels = _to_8_bits(pixels, name, white)
    elif pixels.dtype != np.uint8:
        raise SlideError(f"image {name!r} holds {pixels.dtype} values: save it with 8 bits per channel")
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    channels = pixels.shape[-1] if pixels.ndim == 3 else 0
    if channels not in (1, 2, 3, 4):
        raise SlideError(f"image {name!r} has pixels of shape {pixels.shape}: save it as RGB")
    if inverted and channels in (1, 2):
        pixels = np.concatenate([255 - pixels[..., :1], pixels[..., 1:]], axis=-1)
    if channels in (2, 4):
        pixels = _on_white(pixels[..., :-1], pixels[..., -1:], premultiplied)
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))


def _to_8_bits(pixels: np.ndarray, name: str, white: int | None) -> np.ndarray:
    if white is None:
        brightest = int(pixels.max(initial=0))
        fitting = next(2**bits - 1 for bits in (8, 10, 12, 14, 16) if brightest < 2**bits)
        raise SlideError(
            f"image {name!r} has 16 bits per channel, and which of their values is white is known to its camera only: "
            f"say it (`--white {fitting}` fits its brightest value, {brightest}), or save it with 8 bits"
        )
    if not 0 < white < 2**16:
        raise ValueError(f"`white` must lie in 1..65535. Received: {white=}")
    scaled = (np.minimum(pixels, white).astype(np.uint32) * 255 + white // 2) // white
    return scaled.astype(np.uint8)


def _on_white(colours: np.ndarray, alpha: np.ndarray, premultiplied: bool) -> np.ndarray:
    """Blends with white in whole numbers, rounded half up."""
    glass = 255 * (255 - alpha.astype(np.uint32))
    weighted = 255 * colours.astype(np.uint32) if premultiplied else colours * alpha.astype(np.uint32)
    return np.minimum((weighted + glass + 127) // 255, 255).astype(np.uint8)
