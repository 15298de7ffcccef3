"""Where an attention lies, in words: of the metrics that training logs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SPREAD, MASS = "attention_spread", "mass_"  # metrics; of the mass with the magnification behind it
UNIFORM, SETTLED = 0.8, 0.2  # spreads from which on an attention is uniform, and up to which it is settled


def state_of(spread: float) -> str:
    """`uniform`, `settling` or `settled`, see `attention_state.spread_of`."""
    return "uniform" if spread >= UNIFORM else "settled" if spread <= SETTLED else "settling"


def masses_of(logs: Mapping[Any, Any]) -> dict[str, float]:
    """The attention's mass by magnification (um/px, as text)."""
    return {str(n).removeprefix(MASS): float(mass) for n, mass in logs.items() if str(n).startswith(MASS)}


def in_words(spread: float, masses: Mapping[str, float]) -> str:
    """`settled, over 3 % of the cells; 0.5 um/px 12 %, 2 um/px 88 %`."""
    text = f"{state_of(spread)}, over {_percent(spread)} of the cells"
    if len(masses) > 1:
        text += "; " + ", ".join(f"{mpp} um/px {100 * mass:.0f} %" for mpp, mass in masses.items())
    return text


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.2g} %"
