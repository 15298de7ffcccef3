"""How the scripts of `data_prep` are run in tests: as a user runs them."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def script():
    """Runs `script(name, *arguments, status=0)` and returns what it said, standard output and error together."""

    def run(name, *arguments, status=0):
        command = [sys.executable, "-m", f"data_prep.{name}", *map(str, arguments)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "500"}
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, env=environment
        )
        assert done.returncode == status, done.stdout
        assert "Traceback" not in done.stdout
        return done.stdout

    return run


@pytest.fixture(scope="session")
def picture():
    """`picture(seed)`: blocks of random colour, 192 x 256 pixels."""

    def make(seed, height=192, width=256):
        coarse = np.random.default_rng(seed).integers(90, 230, (height // 16, width // 16, 3), dtype=np.uint8)
        return coarse.repeat(16, 0).repeat(16, 1)

    return make
