"""A lock says who holds it, and ends with its process."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from ats_mag.system.lock import held_lock, holder_of

HOLD = """
import sys, time
from ats_mag.system.lock import held_lock
with held_lock(sys.argv[1], "held"):
    print("held", flush=True)
    time.sleep(600)
"""


def test_who_holds_a_lock_is_named_until_its_process_ends(tmp_path):
    file = tmp_path / "lock"
    assert holder_of(file) is None  # there is no such file
    with subprocess.Popen([sys.executable, "-c", HOLD, file], stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        owner = f"process {other.pid} on {socket.gethostname()}"
        assert holder_of(file) == owner
        with pytest.raises(RuntimeError, match=rf"^wait for it \({owner}\)$"), held_lock(file, "wait for it"):
            pass
        other.send_signal(signal.SIGKILL)
    assert holder_of(file) is None
    with held_lock(file, "wait for it") as held:
        assert held
        assert holder_of(file) == f"process {os.getpid()} on {socket.gethostname()}"


def test_who_asks_for_the_holder_keeps_nobody_out(tmp_path, monkeypatch):
    """To ask is to take the lock for a moment, in which another may begin."""
    import fcntl

    asks = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(asks, fcntl.LOCK_SH)
    monkeypatch.setattr("ats_mag.system.lock.time.sleep", lambda seconds: fcntl.flock(asks, fcntl.LOCK_UN))
    with held_lock(tmp_path / "lock", "wait for it") as held:
        assert held
    os.close(asks)


def test_a_file_system_without_locks_is_told_from_one_with(tmp_path, monkeypatch):
    def none(*_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("ats_mag.system.lock.fcntl.flock", none)
    with held_lock(tmp_path / "lock", "wait for it") as held:
        assert not held
    assert holder_of(tmp_path / "lock") is None
