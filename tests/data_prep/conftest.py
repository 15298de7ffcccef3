"""How the scripts of `data_prep` are run in tests: as a user runs them."""

import contextlib
import io
import runpy
import sys
import warnings

import numpy as np
import pytest


@pytest.fixture
def script(monkeypatch):
    """Runs `script(name, *arguments, status=0)` and returns what it said, standard output and error together.

    As `python -m data_prep.NAME` does, but in this process: each of its own would take seconds to begin.
    """

    def run(name, *arguments, status=0):
        monkeypatch.setenv("COLUMNS", "500")
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), warnings.catch_warnings():
            warnings.simplefilter("default")
            warnings.filterwarnings("ignore", ".*found in sys.modules")
            try:
                runpy.run_module(f"data_prep.{name}", run_name="__main__", alter_sys=True)
                code = 0
            except SystemExit as ended:
                code = ended.code or 0
        assert code == status, said.getvalue()
        assert "Traceback" not in said.getvalue()
        return said.getvalue()

    return run


@pytest.fixture(scope="session")
def picture():
    """`picture(seed)`: blocks of random colour, 192 x 256 pixels."""

    def make(seed, height=192, width=256):
        coarse = np.random.default_rng(seed).integers(90, 230, (height // 16, width // 16, 3), dtype=np.uint8)
        return coarse.repeat(16, 0).repeat(16, 1)

    return make
