"""One process at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def held_lock(file: str | os.PathLike[str], refusal: str) -> Iterator[None]:
    """Holds a lock on a file, which is made where absent and stays.

    The lock ends with its process, however that ends. On a file system without locks there is none.

    Args:
        file: to lock.
        refusal: what to say where another process holds it.

    Raises:
        RuntimeError: another process holds it.
    """
    lock = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RuntimeError(refusal) from error
        except OSError:
            pass
        yield
    finally:
        os.close(lock)
