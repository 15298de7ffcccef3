"""The patches of a look in the order in which people see them, and what is said of each."""

from __future__ import annotations

import numpy as np

from ats_mag.pictures.look import SlideLook


def looked_at(look: SlideLook) -> np.ndarray:
    """Numbers of the patches, the heaviest first; every list and picture counts them from 1 in this order.

    On a slide with fewer cells on tissue than draws, the surplus draws are left out.
    """
    drawn = np.flatnonzero(patch_attention(look) > 0)
    return drawn[np.argsort(-look.weight[drawn], kind="stable")]


def patch_attention(look: SlideLook) -> np.ndarray:
    """`(N,)`: the attention of each patch's cell."""
    row, column, magnification = look.index.T
    return look.attention[row, column, magnification]


def score_names(look: SlideLook) -> list[str]:
    """The classes of the columns of `contribution`: all of them, or the second of a binary model, which has one score."""
    return look.classes[-look.contribution.shape[1] :]


def shown_score(look: SlideLook) -> int:
    """The column of `contribution` that a picture shows: of the most probable class, where that has a score."""
    return min(int(look.probabilities.argmax()), look.contribution.shape[1] - 1)
