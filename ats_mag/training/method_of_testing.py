"""How a trained model draws patches at test, where the configuration leaves it open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ats_mag.model.attention_words import UNIFORM
from ats_mag.sampling.methods import EXHAUSTIVE, SPACED

if TYPE_CHECKING:
    from ats_mag.geometry.lattice import Lattice

FEW_CELLS = 600  # of a slide: up to so many, all are read at test
BEARABLE_CELLS = 4000  # of a slide: up to so many, all are read where the attention does not choose


def most_cells(lattice: Lattice, records: list[dict[str, Any]]) -> int:
    """Cells of the largest slide, with tissue or without, all magnifications together."""
    return max(lattice.cell_count(lattice.shape(record["geometry"])) for record in records)


def method_of_testing(cells: int, spread: float | None = None) -> str:
    """The method of testing.

    `exhaustive` where slides have few cells, and where the attention says hardly anything about where to look while reading all
    can be borne; else `spaced`, the most probable that lie apart.

    Args:
        cells: of the largest slide that was trained on, see `most_cells`.
        spread: of the attention when it is trained, see `attention_state.spread_of`. None: it is not trained yet.
    """
    uniform = spread is not None and spread >= UNIFORM
    return EXHAUSTIVE if cells <= (BEARABLE_CELLS if uniform else FEW_CELLS) else SPACED
