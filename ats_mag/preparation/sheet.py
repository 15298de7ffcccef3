"""A quality sheet: what the model will see of a slide, for people to look through before they train."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFont

LONGEST = 1200  # pixels of a sheet's longer side; thousands of them have to be leafed through
SHORTEST = 500  # smaller overviews are enlarged to at least this, in whole steps

_OUTLINE = (0, 200, 83)  # of the mask
_LINES = (41, 98, 255)  # of the lattice
_LEAST_CELL = 5  # pixels of the sheet; finer lattices would hide the tissue, and only their border is drawn
_FAINT = 0.5  # share of the lattice's colour within its border
_DIM = 0.55  # share of white over what will not be looked at
_FOOT = 34  # pixels, for the scale bar
_NICE = (1, 2, 5)


def draw_sheet(overview: np.ndarray, mask: np.ndarray, stride: int, overview_mpp: float) -> tuple[bytes, int]:
    """Draws overview, outline of the tissue mask, lattice and scale bar.

    The lattice is drawn on the cells that the model may look at; the rest of the slide is paler.

    Args:
        overview: `(h, w, 3)` uint8.
        mask: `(h, w)` bool, tissue.
        stride: overview pixels per cell side.
        overview_mpp: um/px of the overview.

    Returns:
        A PNG without metadata, whose bytes depend on nothing but the arguments; and the number of cells.
    """
    from skimage.segmentation import find_boundaries

    from ats_mag.geometry.cells import valid_cells

    cells = np.asarray(valid_cells(mask, stride))
    shrink = -(-max(mask.shape) // LONGEST)
    grow = -(-SHORTEST // max(mask.shape))
    scale = grow / shrink
    picture = _resize(overview, shrink, grow).astype(np.float32)
    height, width = picture.shape[:2]
    rows = np.minimum((np.arange(height) / scale).astype(int) // stride, cells.shape[0] - 1)
    columns = np.minimum((np.arange(width) / scale).astype(int) // stride, cells.shape[1] - 1)
    looked_at = cells[rows[:, None], columns[None, :]]
    picture[~looked_at] += (255 - picture[~looked_at]) * _DIM
    if stride * scale >= _LEAST_CELL:
        begins = (np.diff(rows, prepend=-1) > 0)[:, None] | (np.diff(columns, prepend=-1) > 0)[None, :]
        lattice = begins & looked_at
        picture[lattice] += (np.array(_LINES, np.float32) - picture[lattice]) * _FAINT
    picture[find_boundaries(np.pad(looked_at, 1), mode="inner")[1:-1, 1:-1]] = _LINES
    # Whether most of the pixels that were put together are tissue.
    tissue = _resize(mask.astype(np.uint8) * 255, shrink, grow) > 127
    picture[find_boundaries(np.pad(tissue, 1), mode="inner")[1:-1, 1:-1]] = _OUTLINE
    sheet = Image.new("RGB", (max(width, SHORTEST), height + _FOOT), "white")
    sheet.paste(Image.fromarray(picture.astype(np.uint8)))
    _draw_scale_bar(sheet, overview_mpp / scale)
    encoded = io.BytesIO()
    sheet.save(encoded, "PNG", compress_level=6)
    return encoded.getvalue(), int(cells.sum())


def bar_length(um: float) -> tuple[float, str]:
    """The longest of 1, 2, 5, 10, 20... um that is no longer than `um`, and how it is written."""
    power = 10.0 ** np.floor(np.log10(um))
    length = float(max(n for n in _NICE if n * power <= um * (1 + 1e-9)) * power)
    return length, f"{length / 1000:g} mm" if length >= 1000 else f"{length:g} um"


def _resize(image: np.ndarray, shrink: int, grow: int) -> np.ndarray:
    """Averages squares of `shrink` pixels, or repeats each pixel `grow` times."""
    picture = Image.fromarray(image).reduce(shrink)
    size = (picture.width * grow, picture.height * grow)
    return np.asarray(picture.resize(size, Image.Resampling.NEAREST))


def _draw_scale_bar(sheet: Image.Image, mpp: float) -> None:
    length, text = bar_length(sheet.width / 4 * mpp)
    draw = ImageDraw.Draw(sheet)
    top = sheet.height - _FOOT + 14
    draw.rectangle((10, top, 10 + round(length / mpp), top + 5), fill="black")
    draw.text((20 + round(length / mpp), top - 6), text, fill="black", font=ImageFont.load_default(14))
