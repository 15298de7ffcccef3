"""The patches of an inspected slide in the order in which people see them, and what is said of each."""

from __future__ import annotations

import numpy as np

from ats_mag.pictures.inspected_slide import InspectedSlide


def heaviest_first(inspected: InspectedSlide) -> np.ndarray:
    """Numbers of the patches, the heaviest first; every list and picture counts them from 1 in this order.

    On a slide with fewer cells on tissue than draws, the surplus draws are left out.
    """
    drawn = np.flatnonzero(patch_attention(inspected) > 0)
    return drawn[np.argsort(-inspected.weight[drawn], kind="stable")]


def patch_attention(inspected: InspectedSlide) -> np.ndarray:
    """`(N,)`: the attention of each patch's cell."""
    row, column, magnification = inspected.index.T
    return inspected.attention[row, column, magnification]


def score_names(inspected: InspectedSlide) -> list[str]:
    """The classes of the columns of `contribution`: all of them, or the second of a binary model, which has one score."""
    return inspected.classes[-inspected.contribution.shape[1] :]


def shown_score(inspected: InspectedSlide) -> int:
    """The column of `contribution` that a picture shows: of the most probable class, where that has a score."""
    return min(int(inspected.probabilities.argmax()), inspected.contribution.shape[1] - 1)
