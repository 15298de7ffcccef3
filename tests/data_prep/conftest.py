"""How the scripts of `data_prep` are run in tests, and pictures for them."""

import numpy as np
import pytest
from command_line import module_here


@pytest.fixture(scope="session")
def script():
    """Runs `script(name, *arguments, status=0)` as `python -m data_prep.NAME` does, and returns what it said."""
    return lambda name, *arguments, status=0: module_here(f"data_prep.{name}", *arguments, status=status)


@pytest.fixture(scope="session")
def picture():
    """`picture(seed)`: blocks of random colour, 192 x 256 pixels."""

    def make(seed, height=192, width=256):
        coarse = np.random.default_rng(seed).integers(90, 230, (height // 16, width // 16, 3), dtype=np.uint8)
        return coarse.repeat(16, 0).repeat(16, 1)

    return make
