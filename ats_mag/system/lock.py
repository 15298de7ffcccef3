"""One process at a time, on this machine or on any that shares the file system."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

_TRIES = 6  # `holder_of` takes a lock for a moment, too
_BETWEEN = 0.1  # seconds


@contextmanager
def held_lock(file: str | os.PathLike[str], refusal: str) -> Iterator[bool]:
    """Holds a lock on a file, which is made where absent and stays; gives whether there is a lock.

    The lock ends with its process, however that ends. On a file system without locks there is none. The file says who
    holds it, which counts only while it is held.

    Args:
        file: to lock.
        refusal: what to say where another process holds it; who that is is added.

    Raises:
        RuntimeError: another process holds it.
    """
    lock = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        for left in reversed(range(_TRIES)):
            held = _take(lock, fcntl.LOCK_EX)
            if held is not False:
                break
            if not left:
                raise RuntimeError(f"{refusal} ({_owner(lock)})")
            time.sleep(_BETWEEN)
        if held:
            with contextlib.suppress(OSError):  # a full disk; the lock holds without it
                os.ftruncate(lock, 0)
                os.pwrite(lock, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
        yield bool(held)
    finally:
        os.close(lock)


def holder_of(file: str | os.PathLike[str]) -> str | None:
    """Who holds the lock on a file, such as "process 7 on node3"; None: nobody, as far as the file system tells."""
    try:
        lock = os.open(file, os.O_RDONLY)
    except OSError:
        return None
    try:
        return _owner(lock) if _take(lock, fcntl.LOCK_SH) is False else None
    finally:
        os.close(lock)


def _take(lock: int, kind: int) -> bool | None:
    """Whether the lock was free, and is now held; None: the file system has no locks."""
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _owner(lock: int) -> str:
    return os.pread(lock, 200, 0).decode(errors="replace") or "a process that does not say who it is"
