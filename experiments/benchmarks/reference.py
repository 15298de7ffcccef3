"""attention-sampling 0.2 as a contestant, in its own environment.

The library runs beside TensorFlow 1 only. Its environment is made by

    python3.7 -m venv ENV && ENV/bin/pip install 'setuptools<60' wheel
    ENV/bin/pip install tensorflow==1.15.5 keras==2.2.4 'h5py<3' 'protobuf<3.21' 'numpy<1.19' 'scikit-image<0.18' 'cmake<4'
    PATH=ENV/bin:$PATH TF_COMPILER_VERSION_OVERRIDE=1 ENV/bin/pip install --no-build-isolation attention-sampling==0.2

with the system's g++, and named by `--reference ENV/bin/python` or ATS_REFERENCE_PYTHON.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from worker import Worker

NAME = "attention-sampling 0.2"
FOLDER = Path(__file__).resolve().parents[1] / "reference"
VARIABLE = "ATS_REFERENCE_PYTHON"


def add_option(parser: argparse.ArgumentParser) -> None:
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
