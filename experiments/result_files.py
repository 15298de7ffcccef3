"""One run, one result file: what has its file is not run again, so a table fills over several invocations."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parent / "benchmarks"))

import contest

RESULTS = contest.RESULTS
PACKAGES = ("ats-mag", "tensorflow", "keras", "numpy")


def kept(path: Path, configuration: Mapping[str, Any], make: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    """What a run measured: as its file says, or measured now and written, whole or not at all.

    Args:
        path: of the result file.
        configuration: everything that the measures depend on, the seed among it; plain values.
        make: runs and returns the measures; plain values.

    Returns:
        The file's content: `configuration`, `machine`, `versions`, and the measures.

    Raises:
        ValueError: the file holds a run of another configuration.
    """
    configuration = json.loads(json.dumps(configuration))  # as a file gives it back: tuples become lists
    found = read(path, configuration)
    if found is None:
        found = {"configuration": configuration, **make()}
        write(path, found)
        found = read(path, configuration)
    return found or {}


def read(path: Path, configuration: Mapping[str, Any]) -> dict[str, Any] | None:
    """The content of a result file; None where there is none.

    Raises:
        ValueError: it is of another configuration.
    """
    if not path.exists():
        return None
    found = json.loads(path.read_text())
    there = found["configuration"]
    if there != configuration:
        differ = sorted(key for key in {*there, *configuration} if there.get(key) != configuration.get(key))
        words = ", ".join(f"{key}: {there.get(key)!r} there, {configuration.get(key)!r} asked for" for key in differ)
        raise ValueError(
            f"{str(path)!r} holds a run of another configuration ({words}). Remove it, or write elsewhere with --out"
        )
    return found


def write(path: Path, found: Mapping[str, Any], packages: tuple[str, ...] = PACKAGES) -> None:
    """Writes a result with the machine and the versions beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    contest.write(path.stem, {"versions": contest.versions(*packages), **found}, path)


def load(pattern: str, folder: Path = RESULTS) -> list[dict[str, Any]]:
    """All results whose path matches, sorted by path.

    Raises:
        FileNotFoundError: there is none.
    """
    paths = sorted(folder.glob(pattern))
    if not paths:
        raise FileNotFoundError(f"no {pattern} in {str(folder)!r}")
    return [json.loads(path.read_text()) for path in paths]
