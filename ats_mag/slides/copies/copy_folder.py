"""A folder of copied slides that threads and processes share: whole, of bounded size, least recently used out first.

All that is known of a copy lies in the folder itself, so that a crash leaves nothing to mend:

- `<hash>-<stem>.svs` is a whole copy; the hash tells its content, and neither when the slide was changed nor where it lies. Its access time is when it was last asked for; the modification time stays, as the
  slide reader tells a replaced file by it. An MRXS slide has its folder beside it.
- `.<name>.tmp` is a copy under way, from its start as large as the whole will be, so that its room is counted.
- A lock (`flock`) on a copy says that it is in use, one on a copy under way that its maker lives. Locks end with their
  process.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ats_mag.slides.slide_files import WITH_FOLDER, SlideFiles, slide_files

_COPY = re.compile(r"[0-9a-f]{24}-.+", re.DOTALL)  # other files in the folder are someone else's
_UNFINISHED = re.compile(r"\.[0-9a-f]{24}-.+\.tmp", re.DOTALL)
_CHUNK = 8 << 20


class NoRoomError(Exception):
    """A copy would pass the bound, and what could leave is in use."""


class CopyFolder:
    """Hands out copies together with a descriptor; until that is closed, no one removes the copy."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder, self.max_bytes = folder, max_bytes
        with self._locked(), contextlib.suppress(NoRoomError):
            self._make_room(0)

    def hold(self, slide: SlideFiles, name: str) -> tuple[Path, int]:
        """The slide's copy, made where there is none, and the descriptor that holds it.

        Args:
            slide: its files.
            name: of the copy, see `copy_name`.

        Raises:
            NoRoomError: see there.
            OSError: it cannot be copied (disk full, source unreadable or changing); nothing is left of the copy.
        """
        final, unfinished = self.folder / name, self.folder / f".{name}.tmp"
        while True:
            with self._locked():
                held = _hold(final)
                if held is not None:
                    return final, held
                if _remove_leftover(unfinished):
                    self._make_room(slide.size)
                    made = _begin(unfinished, slide.size)
                    break
                under_way = os.open(unfinished, os.O_RDONLY)
            try:
                fcntl.flock(under_way, fcntl.LOCK_SH)  # until another thread or process has done it, or died
            finally:
                os.close(under_way)
        try:
            self._copy(slide, name, made)
            with self._locked():
                os.ftruncate(made, slide.files[0][2])  # the rest was room for its folder
                os.replace(unfinished, final)
                fcntl.flock(made, fcntl.LOCK_SH)
                _mark_used(made)
        except BaseException:
            with self._locked():
                _remove(unfinished)
            os.close(made)
            raise
        return final, made

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """One thread of one process at a time; never while bytes are copied."""
        lock = os.open(self.folder / ".lock", os.O_RDONLY | os.O_CREAT, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _copy(self, slide: SlideFiles, name: str, made: int) -> None:
        for path, place, size, _ in slide.files:
            with open(path, "rb") as reader, self._writer(name, place, made) as writer:
                copy_bytes(reader, writer, size)
                writer.flush()
                os.fsync(writer.fileno())  # before its name says that it is whole, whatever happens to the machine
        if slide_files(slide.files[0][0]) != slide:
            raise OSError(f"{slide.files[0][0]!r} changed while it was copied")

    def _writer(self, name: str, place: str, made: int) -> BinaryIO:
        companions = _companions(self.folder / name)
        if not place or companions is None:
            return open(os.dup(made), "wb")
        (companions / place).parent.mkdir(parents=True, exist_ok=True)
        return open(companions / place, "wb")

    def _make_room(self, size: int) -> None:
        """Removes what dead processes left, then copies that no one holds, until `size` more bytes fit."""
        copies, total, on_disk = self._take_stock()
        bound = min(self.max_bytes, on_disk + shutil.disk_usage(self.folder).free)
        with contextlib.ExitStack() as locks:
            leaving = []
            for _, path, copied in sorted(copies):
                if total + size <= bound:
                    break
                descriptor = os.open(path, os.O_RDONLY)
                locks.callback(os.close, descriptor)
                if _lock_alone(descriptor):
                    leaving.append(path)
                    total -= copied
            if total + size > bound:
                raise NoRoomError
            for path in leaving:
                _remove(path)

    def _take_stock(self) -> tuple[list[tuple[int, Path, int]], int, int]:
        """When each whole copy was last used, its path and bytes; the bytes of all, and what they take on the disk.

        The last two differ by what copies under way will still take.
        """
        copies, total, on_disk = [], 0, 0
        names = set(os.listdir(self.folder))
        for name in names:
            path = self.folder / name
            if _UNFINISHED.fullmatch(name) and not _remove_leftover(path):
                total += path.stat().st_size
                on_disk += sum(state.st_blocks * 512 for state in _states(path))
            elif _COPY.fullmatch(name) and path.is_file():
                copied = sum(state.st_size for state in _states(path))
                copies.append((path.stat().st_atime_ns, path, copied))
                total += copied
                on_disk += copied
            elif _COPY.fullmatch(name) and not {name + WITH_FOLDER, f".{name}{WITH_FOLDER}.tmp"} & names:
                shutil.rmtree(path, ignore_errors=True)
        return copies, total, on_disk


def copy_bytes(reader: BinaryIO, writer: BinaryIO, size: int) -> None:
    """Copies at most so many bytes, so that a growing source cannot pass the bound."""
    while size > 0 and (chunk := reader.read(min(size, _CHUNK))):
        writer.write(chunk)
        size -= len(chunk)
    if size > 0:
        raise OSError(f"{size} bytes are missing at its end")


def _begin(unfinished: Path, size: int) -> int:
    made = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    fcntl.flock(made, fcntl.LOCK_EX)
    os.ftruncate(made, size)
    return made


def _hold(final: Path) -> int | None:
    try:
        held = os.open(final, os.O_RDONLY)
    except FileNotFoundError:
        return None
    fcntl.flock(held, fcntl.LOCK_SH)
    _mark_used(held)
    return held


def _lock_alone(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _mark_used(descriptor: int) -> None:
    with contextlib.suppress(PermissionError):  # another user's copy
        os.utime(descriptor, ns=(time.time_ns(), os.stat(descriptor).st_mtime_ns))


def _companions(path: Path) -> Path | None:
    """The folder of a copy, whole or not, if slides of its kind have one."""
    whole = path.name.removeprefix(".").removesuffix(".tmp")
    return path.with_name(whole.removesuffix(WITH_FOLDER)) if whole.endswith(WITH_FOLDER) else None


def _states(path: Path) -> list[os.stat_result]:
    companions = _companions(path)
    files = [path] if companions is None else [path, *(p for p in companions.rglob("*") if p.is_file())]
    return [file.stat() for file in files]


def _remove(path: Path) -> None:
    """Removes a copy; first the file whose name tells whether it is whole."""
    path.unlink(missing_ok=True)
    companions = _companions(path)
    if companions is not None:
        shutil.rmtree(companions, ignore_errors=True)


def _remove_leftover(unfinished: Path) -> bool:
    """Removes a copy under way whose maker is dead; whether there is none any more."""
    try:
        descriptor = os.open(unfinished, os.O_RDONLY)
    except FileNotFoundError:
        return True
    try:
        dead = _lock_alone(descriptor)
        if dead:
            _remove(unfinished)
    finally:
        os.close(descriptor)
    return dead
