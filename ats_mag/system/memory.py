"""How much memory this process takes."""

from __future__ import annotations

import resource
from pathlib import Path

MIB = 2**20
SELF = Path("/proc/self")


def resident() -> int:
    """Bytes in memory now."""
    return _status("VmRSS")


def largest() -> int:
    """The most bytes ever in memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def forget_peak() -> None:
    """Begins to watch for a new peak. Some kernels forget `largest` with it: ask for that first."""
    (SELF / "clear_refs").write_text("5")


def peak() -> int:
    """The most bytes in memory since `forget_peak`."""
    return _status("VmHWM")


def _status(name: str) -> int:
    for line in (SELF / "status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"the kernel does not tell {name}")


def available() -> int:
    """Bytes that the machine can still give."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    raise OSError("the kernel does not tell MemAvailable")
