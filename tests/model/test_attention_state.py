"""Over how much of a slide its attention lies, in numbers and in words."""

import numpy as np
import pytest

from ats_mag.model.attention_state import spread_of
from ats_mag.model.attention_words import in_words, masses_of, state_of


def test_spread_is_the_share_of_equally_probable_cells():
    attention = np.zeros((3, 4, 5, 2), "float32")
    attention[0, :2] = 1 / 20  # uniform over the tissue, 20 of 40 cells
    attention[1, 0, 0, 0] = 1  # all on one of one
    attention[2] = 1e-30  # all on one of 40
    attention[2, 1, 2, 1] = 1
    np.testing.assert_allclose(np.asarray(spread_of(attention)), [1, 1, 1 / 40], rtol=1e-4)


@pytest.mark.parametrize(("spread", "state"), [(1.0, "uniform"), (0.8, "uniform"), (0.5, "settling"), (0.2, "settled")])
def test_states(spread, state):
    assert state_of(spread) == state


def test_in_words():
    masses = masses_of({"mass_0.5": 0.12, "mass_2": 0.88, "loss": 1.0, "val_mass_2": 0.5})
    assert masses == {"0.5": 0.12, "2": 0.88}
    assert in_words(0.034, masses) == "settled, over 3.4 % of the cells; 0.5 um/px 12 %, 2 um/px 88 %"
    assert in_words(1.0, {"2": 1.0}) == "uniform, over 100 % of the cells"
