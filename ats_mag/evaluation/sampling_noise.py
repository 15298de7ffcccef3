"""How much the random choice of patches matters."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from ats_mag.evaluation.measures import measures
from ats_mag.evaluation.scored_table import Scored
from ats_mag.model.decide import decide


def sampling_noise(scored: Scored, draws: np.ndarray) -> dict[str, Any] | None:
    """How much the random choice of patches changes predictions and measures.

    Args:
        scored: the slides.
        draws: `(D, n, C)` probabilities of each draw.

    Returns:
        None for a single draw. Else `median_sd` and `largest_sd` over slides and classes of the standard deviation of one
        draw's probability; `changed`, the share of slides that not all draws predict alike; and `measures`: per measure
        the `mean` and `sd` over the draws, each draw measured alone, NaN where undefined.
    """
    if len(draws) < 2 or not len(scored):
        return None
    spread = draws.std(axis=0, ddof=1)
    decisions = decide(draws, scored.exclusive)
    of_draws = pd.DataFrame([measures(replace(scored, probabilities=draw), warn=False) for draw in draws])
    mean, sd = of_draws.mean(skipna=False), of_draws.std(skipna=False)
    return {
        "median_sd": float(np.median(spread)),
        "largest_sd": float(spread.max()),
        "changed": float((decisions != decisions[0]).any(axis=(0, 2)).mean()),
        "measures": {name: {"mean": float(mean[name]), "sd": float(sd[name])} for name in map(str, of_draws)},
    }
