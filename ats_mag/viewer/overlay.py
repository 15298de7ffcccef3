"""What a model looked at, as the page draws it: numbers, and small pictures of the attention and the patches."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from ats_mag.geometry.units import MPP_OF_1X
from ats_mag.model.attention_layer import attention_rgba
from ats_mag.pictures.colours import magnification_colour, rgb
from ats_mag.pictures.look import SlideLook


class Overlay:
    """The part of a `SlideLook` that the page needs; it does not keep the overview.

    Args:
        look: at one slide.

    Attributes:
        values: for JSON. Places are level-0 pixels from the origin of the slide's bounds.
    """

    def __init__(self, look: SlideLook) -> None:
        self._attention = look.attention
        self._patches = look.patches
        self.values = _values(look)

    def attention_png(self, magnification: int) -> bytes:
        """One pixel per cell in the magnification's colour, the more opaque the more attention.

        The opacity is the cell's share of the highest attention over all magnifications, so that these compare.

        Raises:
            IndexError: there is no such magnification.
        """
        if not 0 <= magnification < self._attention.shape[-1]:
            raise IndexError(f"there is no magnification {magnification}")
        colour = rgb(magnification_colour(magnification))
        return _png(attention_rgba(self._attention[..., magnification], float(self._attention.max()), colour))

    def patch_png(self, patch: int) -> bytes:
        """The patch as the model read it.

        Raises:
            IndexError: there is no such patch.
        """
        if not 0 <= patch < len(self._patches):
            raise IndexError(f"there is no patch {patch}")
        return _png(self._patches[patch])


def _values(look: SlideLook) -> dict[str, Any]:
    rows, columns, _ = look.attention.shape
    left, top = (int(value) for value in look.geometry[:2])
    # The head of a binary model has one score, the second class's.
    scores = look.classes[1:] if look.contribution.shape[1] == 1 else look.classes
    magnifications = [
        {
            "mpp": mpp,
            "power": MPP_OF_1X / mpp,
            "colour": magnification_colour(m),
            "attention": float(look.attention[..., m].sum()),
        }
        for m, mpp in enumerate(look.lattice.magnifications)
    ]
    patches = [
        {
            "magnification": int(m),
            "x": int(x) - left,
            "y": int(y) - top,
            "side": float(side),
            "attention": float(look.attention[row, column, m]),
            "weight": float(weight),
            "contribution": [float(value) for value in contribution],
        }
        for (row, column, m), (x, y), side, weight, contribution in zip(
            look.index, look.location, look.side_px, look.weight, look.contribution, strict=True
        )
    ]
    return {
        "classes": look.classes,
        "probabilities": [float(p) for p in look.probabilities],
        "scores": scores,
        "mpp": look.mpp,
        "cells": {"rows": rows, "columns": columns, "side": look.cell_px, "highest": float(look.attention.max())},
        "magnifications": magnifications,
        "patches": patches,
    }


def _png(pixels: np.ndarray) -> bytes:
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "PNG", compress_level=1)
    return encoded.getvalue()
