"""How a trained model draws at test where the configuration leaves it open."""

from __future__ import annotations

import numpy as np
import pytest

from ats_mag.geometry.lattice import Lattice
from ats_mag.training.method_of_testing import BEARABLE_CELLS, FEW_CELLS, method_of_testing, most_cells


@pytest.mark.parametrize(
    ("cells", "spread", "method"),
    [
        (FEW_CELLS, None, "exhaustive"),
        (FEW_CELLS, 0.01, "exhaustive"),
        (FEW_CELLS + 1, None, "spaced"),
        (BEARABLE_CELLS, 0.5, "spaced"),
        (BEARABLE_CELLS, 0.95, "exhaustive"),
        (BEARABLE_CELLS + 1, 0.95, "spaced"),
    ],
)
def test_all_are_read_where_that_is_cheap_or_nothing_chooses(cells: int, spread: float | None, method: str) -> None:
    assert method_of_testing(cells, spread) == method


def test_the_largest_slide_counts() -> None:
    lattice = Lattice(overview_mpp=8.0, stride=8, magnifications=(0.5, 2.0), patch_size=64)
    records = [{"geometry": np.array([0, 0, side, side, 5_000_000])} for side in (1280, 2560)]
    assert most_cells(lattice, records) == 2 * 20 * 20
