"""Processes of `host_worker.py`, for tests of trainings over several hosts."""

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
SILENCE = 10  # seconds; the bound that processes are held to here


def free_addresses(count, name="127.0.0.1"):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for found in sockets:
            found.bind(("", 0))
        return ",".join(f"{name}:{found.getsockname()[1]}" for found in sockets)


def start(addresses, index, *configs, before=()):
    """A worker; `before`: of its command."""
    path = os.pathsep.join([str(TESTS.parent), str(TESTS), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3", "ATS_MAG_HOST_SILENCE": str(SILENCE)}
    environment |= {"TF_NUM_INTRAOP_THREADS": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(TESTS / "kill" / "host_worker.py"), addresses, str(index), *map(str, configs)]
    return subprocess.Popen([*before, *command], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def train(count, *configs):
    """Trains with so many processes; 1: without any others."""
    addresses = free_addresses(count) if count > 1 else ""
    processes = [start(addresses, k, *configs) for k in range(count)]
    errors = [process.communicate()[1].decode(errors="replace") for process in processes]
    if any(process.returncode for process in processes):
        raise RuntimeError("\n".join(errors))
