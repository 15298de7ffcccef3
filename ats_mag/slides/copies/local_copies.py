"""Slides on a slow file system, read through local copies: made ahead, and bounded in size."""

from __future__ import annotations

import os
import threading
import warnings
import weakref
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from ats_mag.slides.copies.copy_folder import CopyFolder, NoRoomError
from ats_mag.slides.slide_files import can_be_copied, content_digest, copy_name, slide_files

_SPOTS = 30  # of 4 KiB, see `content_digest`


class LocalCopies:
    """A folder of slide copies that never holds more than `max_bytes`, the copy under way included.

    Slides are copied when they are first asked for, and removed least recently used first. Threads and processes may
    share the folder; other files in it are left alone. A slide of other content gets a new copy; one that was touched, or
    moved to another folder, keeps it. Content is told by the size, both ends and places between, and never by time.

    A slide is read from its original place, after one warning per reason, where it cannot be copied: it is larger than
    the bound, the copies in use fill the bound or the disk, copying fails, or slides of its kind (DICOM, VMS, VMU...)
    lie in several files that their names do not tell.

    A removed copy cannot be read any more by its path, nor can OpenSlide read on through a handle it has of it: what is
    going to be read has to be in a `window`.

    Args:
        folder: of the copies, on a local disk; made where absent. All who share it should give the same bound.
        max_bytes: bound of the sizes of all copies.

    Attributes:
        sources: which slide each path is a copy of, of all that were asked for.

    Raises:
        ValueError: `max_bytes` is not positive.
        NotADirectoryError: `folder` is a file.
        OSError: `folder` cannot be made or written.
    """

    def __init__(self, folder: str | os.PathLike[str], max_bytes: int) -> None:
        if not max_bytes >= 1:
            raise ValueError(
                f"`max_bytes`, the bound of the local copies, must be at least 1. Received: max_bytes={max_bytes!r}"
            )
        place = Path(os.path.abspath(folder))
        if place.exists() and not place.is_dir():
            raise NotADirectoryError(f"{str(place)!r} is a file: name a folder for the local copies of slides")
        place.mkdir(parents=True, exist_ok=True)
        self._copies = CopyFolder(place, int(max_bytes))
        self._warned: set[str] = set()
        self.sources: dict[str, str] = {}

    def window(self, requests: int) -> CopyWindow:
        """Through which to ask for copies: those of its last `requests` requests are not removed, by anyone."""
        return CopyWindow(self, requests)

    def longest_path(self, source: str) -> int:
        """Bytes of the longest path that may be the answer to `source`."""
        copy = os.path.join(self._copies.folder, copy_name(source))
        return max(len(os.fsencode(path)) for path in (source, copy))

    def hold(self, source: str) -> tuple[str, int | None]:
        """The path to read, and the descriptor that holds it if it is a copy."""
        if not can_be_copied(source):
            kind = os.path.splitext(source)[1]
            self._warn(f"kind {kind}", source, f"slides of the kind {kind!r} may lie in several files")
            return source, None
        try:
            slide = slide_files(source)
            name = copy_name(source, content_digest(slide, _SPOTS))
        except OSError:
            return source, None  # whoever reads it says what is wrong
        bound = self._copies.max_bytes
        if slide.size > bound:
            sizes = f"it has {_gigabytes(slide.size)}, the bound of all copies is {_gigabytes(bound)}"
            self._warn("size", source, f"{sizes}: raise the bound")
            return source, None
        try:
            copy, held = self._copies.hold(slide, name)
        except NoRoomError:
            reason = f"the copies in use fill the bound of {_gigabytes(bound)}, or the disk"
            self._warn("room", source, f"{reason}: raise the bound, free disk space, or lower the batch size")
        except OSError as error:
            self._warn("failure", source, f"copying it to {str(self._copies.folder)!r} failed ({error})")
        else:
            self.sources[str(copy)] = source
            return str(copy), held
        return source, None

    def _warn(self, kind: str, source: str, reason: str) -> None:
        if kind not in self._warned:
            self._warned.add(kind)
            warnings.warn(
                f"slide {source!r} is read from its original place, as are others of which the same is true: {reason}",
                RuntimeWarning,
                stacklevel=2,
            )


class CopyWindow:
    """Keeps the copies of the last requests, as many as are on their way from a pipeline's start to their use.

    Args:
        copies: to ask.
        requests: how many, at least 1.
    """

    def __init__(self, copies: LocalCopies, requests: int) -> None:
        if requests < 1:
            raise ValueError(f"`requests` must be at least 1. Received: requests={requests!r}")
        self._copies, self._requests = copies, requests
        self._held: deque[_Held] = deque()
        self._lock = threading.Lock()
        self.close = weakref.finalize(self, _let_go, self._held, 0)

    def path(self, source: str | os.PathLike[str]) -> str:
        """The path of a whole local copy of the slide, or `source` itself where there can be none."""
        held = _Held()
        with self._lock:  # before the copy is made, so that copies under way count, too
            self._held.append(held)
            _let_go(self._held, self._requests)
        path, descriptor = self._copies.hold(os.fspath(source))
        with self._lock:
            held.descriptor = descriptor
            if held.left:  # so many requests came meanwhile
                held.close()
        return path


@dataclass
class _Held:
    """A request of the window."""

    descriptor: int | None = None
    left: bool = False

    def close(self) -> None:
        if self.descriptor is not None:
            os.close(self.descriptor)


def _let_go(requests: deque[_Held], keep: int) -> None:
    while len(requests) > keep:
        held = requests.popleft()
        held.left = True
        held.close()


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.3g} GB"
