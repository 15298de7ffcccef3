"""Other processes that run modules of this repository."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def environment() -> dict[str, str]:
    """This process's environment, in which modules of the repository are found from every folder."""
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def run_module(module: str, *arguments: object) -> None:
    """Runs `python -m MODULE ARGUMENTS` and waits for it.

    Raises:
        RuntimeError: it ended with another status than 0; it has said why.
    """
    words = [module, *map(str, arguments)]
    status = subprocess.run([sys.executable, "-m", *words], check=False, env=environment()).returncode
    if status:
        raise RuntimeError(f"{' '.join(words)} ended with status {status}: see above. What is done is kept")
