"""Starting the processes of a training on this machine: `--hosts local:N`."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import IO

from ats_mag.training.hosts.hosts import HostLost

_PR_SET_PDEATHSIG = 1  # of Linux' <sys/prctl.h>
_AFTER = 60.0  # seconds that the others may take to end after one has


def train_locally(arguments: Sequence[str], count: int) -> None:
    """Runs `ats-mag train` in processes of this machine, and waits for them.

    The first one's output is seen here. The graphics processors, where there are any, are dealt out one after the other; so are the
    threads of the processors, but where `TF_NUM_INTRAOP_THREADS` says otherwise.

    Args:
        arguments: of `ats-mag train`, without `--hosts`.
        count: processes.

    Raises:
        HostLost: the training failed, and the first process could not say why.
        SystemExit: it failed, and the first process said why.
    """
    addresses = ",".join(f"127.0.0.1:{port}" for port in free_ports(count))
    with contextlib.ExitStack() as stack:
        logs = [None, *(stack.enter_context(tempfile.TemporaryFile()) for _ in range(count - 1))]
        processes = [_start(arguments, addresses, k, count, log) for k, log in enumerate(logs)]
        try:
            _wait(processes, logs)
        finally:
            for process in processes:
                process.kill()
                process.wait()


def _start(
    arguments: Sequence[str], addresses: str, index: int, count: int, log: IO[bytes] | None
) -> subprocess.Popen[bytes]:
    environment = {**os.environ, **_devices(index, count)}
    environment.setdefault("TF_NUM_INTRAOP_THREADS", str(max(1, (os.cpu_count() or 1) // count)))
    command = [sys.executable, "-m", "ats_mag.cli", "train", *arguments, "--hosts", addresses, "--index", str(index)]
    libc = ctypes.CDLL(None)
    return subprocess.Popen(
        command,
        env=environment,
        stdout=log,
        stderr=_standard_error() if log is None else subprocess.STDOUT,
        preexec_fn=lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL),  # else they would go on without this one
    )


def _standard_error() -> int | None:
    """Where this process's own messages go, which need not be where compiled libraries write. None: there."""
    try:
        return sys.stderr.fileno()
    except (OSError, AttributeError, ValueError):
        return None


def _devices(index: int, count: int) -> dict[str, str]:
    """The graphics processors of one process."""
    every = os.environ.get("CUDA_VISIBLE_DEVICES")
    if every is None:
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            found = subprocess.run(
                ["nvidia-smi", "--list-gpus"], capture_output=True, text=True, check=True, timeout=60
            )
            every = ",".join(str(k) for k, line in enumerate(found.stdout.splitlines()) if line.startswith("GPU "))
    names = [name for name in (every or "").split(",") if name.strip()]
    return {"CUDA_VISIBLE_DEVICES": ",".join(names[index::count]) or "-1"} if names else {}


def _wait(processes: Sequence[subprocess.Popen[bytes]], logs: Sequence[IO[bytes] | None]) -> None:
    """Waits for all; where one fails, so long until the others have found that out."""
    deadline = None
    while any(process.poll() is None for process in processes):
        if deadline is None and any(process.returncode for process in processes):
            deadline = time.monotonic() + _AFTER + float(os.environ.get("ATS_MAG_HOST_SILENCE", 30))
        if deadline is not None and time.monotonic() > deadline:
            break
        time.sleep(0.1)
    codes = [process.returncode for process in processes]
    if not any(code != 0 for code in codes):
        return
    if codes[0] is not None and codes[0] > 0:
        raise SystemExit(1)
    told = next(filter(None, map(_error_in, logs)), None)
    raise HostLost(told or f"the processes ended with {', '.join(map(str, codes))}, and none of them said why")


def _error_in(log: IO[bytes] | None) -> str | None:
    """The error that a process told of."""
    if log is None:
        return None
    log.seek(0)
    lines = log.read().decode(errors="replace").splitlines()
    return next((line.removeprefix("error: ") for line in reversed(lines) if line.startswith("error: ")), None)


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody uses."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for found in sockets:
            found.bind(("127.0.0.1", 0))
        return [found.getsockname()[1] for found in sockets]
