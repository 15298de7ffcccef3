"""Whole files: they appear under their name when they are complete, and a digest tells whether they still are."""

from __future__ import annotations

import errno
import glob
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SUFFIX = ".tmp"
# Which cannot come about in reading what is to be written.
_OF_WRITING = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.ENAMETOOLONG,
)


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Gives a name to write to; what was written there takes the file's place at the end, unless there was an error.

    Args:
        path: the file. An existing one stays until the new one is complete.

    Raises:
        OSError: it cannot be written; it is a device or a pipe, in whose place a file must not come.
    """
    path = Path(path)
    check_ordinary(path)
    # The name is one that no process of any machine uses at the same time.
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}{_SUFFIX}")
    with _named(path, unfinished):
        try:
            yield unfinished
            os.replace(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)


@contextmanager
def whole_folders(*paths: str | os.PathLike[str]) -> Iterator[list[Path]]:
    """Gives names of folders to make; they take their places together at the end, unless there was an error.

    Args:
        paths: the folders, none of which exists.
    """
    folders = [Path(path) for path in paths]
    unfinished = [path.with_name(f".{path.name}.{secrets.token_hex(4)}{_SUFFIX}") for path in folders]
    with _named(folders[0], *unfinished):
        try:
            yield unfinished
            for made, path in zip(unfinished, folders, strict=True):
                os.replace(made, path)
        finally:
            for made in unfinished:
                shutil.rmtree(made, ignore_errors=True)


@contextmanager
def _named(path: Path, *unfinished: Path) -> Iterator[None]:
    """Within it, errors of writing name the file that was to come about: a full disk's name none."""
    try:
        yield
    except OSError as error:
        inside = error.filename is None or any(str(made) in str(error.filename) for made in unfinished)
        if error.errno not in _OF_WRITING or not inside:
            raise
        raise OSError(error.errno, f"{os.strerror(error.errno or 0)}; it could not be written", str(path)) from error


def check_place(path: str | os.PathLike[str]) -> None:
    """Makes sure that something can be written there, before hours are spent on it; leaves nothing behind.

    Raises:
        OSError: which names the folder that stands in the way; or the place is a device or a pipe.
    """
    check_ordinary(path)
    folder = Path(path).absolute().parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    trial = folder / f".{secrets.token_hex(8)}{_SUFFIX}"
    try:
        trial.touch(exist_ok=False)
    except OSError as error:
        raise OSError(
            error.errno, f"{os.strerror(error.errno or 0)}; {str(path)!r} could not be written", str(folder)
        ) from error
    trial.unlink()


def check_ordinary(path: str | os.PathLike[str]) -> None:
    """Makes sure that a name for a file is not that of a device or a pipe.

    Raises:
        OSError: it is.
    """
    if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
        raise OSError(f"{os.fspath(path)!r} is a device or a pipe, no ordinary file: give another name")


def is_of_the_disk(error: OSError) -> bool:
    """Whether a disk is full or takes nothing, which is no fault of what was read."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


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
