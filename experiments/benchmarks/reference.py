"""attention-sampling 0.2 as a contestant, in an environment of its own: see `experiments/megapixel/reference/__init__.py`.

`--reference ENV/bin/python` or the variable ATS_REFERENCE_PYTHON names its interpreter.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from experiments import megapixel
from experiments.common.worker import Worker
from experiments.megapixel.results import REFERENCE as NAME

FOLDER = Path(megapixel.__file__).parent / "reference"
VARIABLE = "ATS_REFERENCE_PYTHON"


def add_option(parser: argparse.ArgumentParser) -> None:
    """Adds `--reference`."""
    parser.add_argument(
        "--reference",
        metavar="PYTHON",
        default=os.environ.get(VARIABLE),
        help=f"interpreter of the environment of {NAME} (default: {VARIABLE}); without one it is left out",
    )


def start(python: str, name: str, threads: int, **settings: Any) -> Worker:
    """A process that holds `attention_sampling_02.NAME`."""
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore"}
    settings = {"threads": threads, **settings}
    return Worker(f"attention_sampling_02:{name}", settings, quiet, threads, python=python, folder=FOLDER)
