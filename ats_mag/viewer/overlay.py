"""What a model looked at, as the page draws it: numbers, and small pictures of the attention and the patches."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from ats_mag.geometry.units import MPP_OF_1X
from ats_mag.model.attention_layer import attention_rgba
from ats_mag.pictures.colours import magnification_colour, rgb
from ats_mag.pictures.inspected_slide import InspectedSlide


class Overlay:
    """The part of an `InspectedSlide` that the page needs; it does not keep the overview.

    Args:
        inspected: the slide, as the model saw it.

    Attributes:
        values: for JSON. Places are level-0 pixels from the origin of the slide's bounds.
    """

    def __init__(self, inspected: InspectedSlide) -> None:
        self._attention = inspected.attention
        self._patches = inspected.patches
        self.values = _values(inspected)

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


def _values(inspected: InspectedSlide) -> dict[str, Any]:
    rows, columns, _ = inspected.attention.shape
    left, top = (int(value) for value in inspected.origin)
    # The head of a binary model has one score, the second class's.
    scores = inspected.classes[1:] if inspected.contribution.shape[1] == 1 else inspected.classes
    magnifications = [
        {
            "mpp": mpp,
            "power": MPP_OF_1X / mpp,
            "colour": magnification_colour(m),
            "attention": float(inspected.attention[..., m].sum()),
        }
        for m, mpp in enumerate(inspected.lattice.magnifications)
    ]
    patches = [
        {
            "magnification": int(m),
            "x": int(x) - left,
            "y": int(y) - top,
            "side": float(side),
            "attention": float(inspected.attention[row, column, m]),
            "weight": float(weight),
            "contribution": [float(value) for value in contribution],
        }
        for (row, column, m), (x, y), side, weight, contribution in zip(
            inspected.index,
            inspected.location,
            inspected.side_px,
            inspected.weight,
            inspected.contribution,
            strict=True,
        )
    ]
    return {
        "classes": inspected.classes,
        "probabilities": [float(p) for p in inspected.probabilities],
        "scores": scores,
        "mpp": inspected.mpp,
        "cells": {
            "rows": rows,
            "columns": columns,
            "side": inspected.cell_px,
            "highest": float(inspected.attention.max()),
        },
        "magnifications": magnifications,
        "patches": patches,
    }


def _png(pixels: np.ndarray) -> bytes:
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "PNG", compress_level=1)
    return encoded.getvalue()
