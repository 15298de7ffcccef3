"""One run, one result file: what has its file is not run again, so a table fills over several invocations."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from ats_mag.system.atomic_files import whole_file
from experiments.common.processes import ROOT

RESULTS = ROOT / "experiments" / "results"
PACKAGES = ("ats-mag", "tensorflow", "keras", "numpy")

Result = dict[str, Any]  # the content of a result file


def kept(path: Path, configuration: Mapping[str, Any], make: Callable[[], Mapping[str, Any]]) -> Result:
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
        write(path, {"versions": versions(*PACKAGES), "configuration": configuration, **make()})
        found = read(path, configuration)
    return found or {}


def read(path: Path, configuration: Mapping[str, Any]) -> Result | None:
    """The content of a result file; None where there is none.

    Raises:
        ValueError: it is of another configuration.
    """
    if not path.exists():
        return None
    found: Result = json.loads(path.read_text())
    there = found["configuration"]
    if there != configuration:
        differ = sorted(key for key in {*there, *configuration} if there.get(key) != configuration.get(key))
        words = ", ".join(f"{key}: {there.get(key)!r} there, {configuration.get(key)!r} asked for" for key in differ)
        raise ValueError(
            f"{str(path)!r} holds a run of another configuration ({words}). Remove it, or write elsewhere with --out"
        )
    return found


def write(path: Path, found: Mapping[str, Any]) -> Path:
    """Writes a result, whole or not at all, with the machine beside the figures; returns the path."""
    return write_plain(path, {"machine": machine(), **found})


def write_plain(path: Path, found: Mapping[str, Any]) -> Path:
    """Writes a result as it is, whole or not at all; returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as unfinished:
        unfinished.write_text(json.dumps(found, indent=1) + "\n")
    return path


def load(pattern: str, folder: Path = RESULTS) -> list[Result]:
    """All results whose path matches, sorted by path.

    Raises:
        FileNotFoundError: there is none.
    """
    paths = sorted(folder.glob(pattern))
    if not paths:
        raise FileNotFoundError(f"no {pattern} in {str(folder)!r}")
    return [json.loads(path.read_text()) for path in paths]


def load_one(name: str, folder: Path = RESULTS) -> Result:
    """The result file of that name.

    Raises:
        FileNotFoundError: it is not there.
    """
    found: Result = json.loads((folder / name).read_text())
    return found


def machine() -> dict[str, str | int]:
    """What a figure depends on besides the code."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        processor = names[0] if names else processor
    return {
        "processor": processor,
        "cpus": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
    }


def versions(*packages: str) -> dict[str, str | None]:
    """The installed version of each package; None where it is not installed."""
    found: dict[str, str | None] = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    return found
