"""The files that make up a slide, and the name of a copy of them."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

ONE_FILE = (".svs", ".tif", ".tiff", ".ndpi", ".scn", ".bif", ".svslide", ".czi")
WITH_FOLDER = ".mrxs"  # beside a folder of the same name

_LONGEST_STEM = 80  # bytes of the slide's own name that its copy's name repeats: messages about the copy name the slide


@dataclass(frozen=True)
class SlideFiles:
    """A slide in its present state.

    Attributes:
        name: of its copy; another one when a file has changed.
        files: path, place in the slide's folder ("" is the slide file itself, which comes first), bytes and mtime_ns.
    """

    name: str
    files: tuple[tuple[str, str, int, int], ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(size for _, _, size, _ in self.files)


def walk_folder(folder: str | os.PathLike[str], links: bool = False) -> Iterator[tuple[str, list[str], list[str]]]:
    """`os.walk` that leaves nothing out without a word: a folder that cannot be listed is an error.

    Args:
        folder: where to begin.
        links: whether to follow links to folders, which may lead back.

    Raises:
        OSError: which names the folder.
    """

    def refuse(error: OSError) -> None:
        if isinstance(error, FileNotFoundError):  # there is none, or no more
            return
        raise type(error)(
            f"the folder {os.fspath(error.filename)!r} cannot be listed ({error.strerror}), so what it holds would be left out: "
            "give the right to read it, or move it away"
        ) from error

    return os.walk(folder, onerror=refuse, followlinks=links)


def can_be_copied(path: str) -> bool:
    """Whether a slide of this kind is one file, or one with its folder; others (DICOM, VMS...) have siblings."""
    suffix = os.path.splitext(path)[1]
    return suffix.lower() in ONE_FILE or suffix == WITH_FOLDER


def slide_files(path: str) -> SlideFiles:
    """Looks at the slide's files.

    Raises:
        OSError: they are not there, or none that can be read to their end.
    """
    path = os.path.abspath(path)
    found = [(path, "")]
    folder, suffix = os.path.splitext(path)
    if suffix == WITH_FOLDER:
        for parent, _, names in walk_folder(folder):
            found += [(os.path.join(parent, n), os.path.relpath(os.path.join(parent, n), folder)) for n in names]
    states = [(file, place, os.stat(file)) for file, place in sorted(found, key=lambda f: f[1])]
    for file, _, state in states:
        if not stat.S_ISREG(state.st_mode):  # who opens a pipe may wait for ever
            raise OSError(f"{file!r} is no ordinary file")
    files = tuple((file, place, state.st_size, state.st_mtime_ns) for file, place, state in states)
    return SlideFiles(copy_name(path, repr(files)), files)


def copy_name(path: str, state: str = "") -> str:
    """Name of the copy of a slide in some state; its length depends on the path alone."""
    stem, suffix = os.path.splitext(os.path.basename(path))
    stem = os.fsencode(stem)[:_LONGEST_STEM].decode(errors="ignore")
    digest = hashlib.sha256(os.fsencode(os.path.abspath(path) + "\0" + state)).hexdigest()
    return f"{digest[:24]}-{stem}{suffix}"
