"""Whole files: they appear under their name when they are complete, and a digest tells whether they still are."""

from __future__ import annotations

import glob
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SUFFIX = ".tmp"


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Gives a name to write to; what was written there takes the file's place at the end, unless there was an error.

    Args:
        path: the file. An existing one stays until the new one is complete.
    """
    path = Path(path)
    # The name is one that no process of any machine uses at the same time.
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}{_SUFFIX}")
    try:
        yield unfinished
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Writes a file's bytes, all or nothing."""
    with whole_file(path) as unfinished:
        unfinished.write_bytes(content)


def digest(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove_unfinished(folder: str | os.PathLike[str], name: str | None = None) -> int:
    """Removes what processes that were killed left unfinished, where no one writes; how many there were.

    Args:
        folder: where to look.
        name: of the file that was to be written; None: any.
    """
    pattern = "*" if name is None else f"{glob.escape(name)}.*"
    leftovers = [path for path in Path(folder).glob(f".{pattern}{_SUFFIX}") if path.is_file()]
    for path in leftovers:
        path.unlink(missing_ok=True)
    return len(leftovers)
