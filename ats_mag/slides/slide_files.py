"""The files that make up a slide, what tells their content, and the name of a copy of them."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

ONE_FILE = (".svs", ".tif", ".tiff", ".ndpi", ".scn", ".bif", ".svslide", ".czi")
WITH_FOLDER = ".mrxs"  # beside a folder of the same name

_END = 64 << 10  # bytes at the start and at the end of a file that are hashed
_SPOT = 4 << 10
_LONGEST_STEM = 80  # bytes of the slide's own name that its copy's name repeats: messages about the copy name the slide


@dataclass(frozen=True)
class SlideFiles:
    """A slide in its present state.

    Attributes:
        files: path, place in the slide's folder ("" is the slide file itself, which comes first), bytes and mtime_ns.
    """

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
    return SlideFiles(tuple((file, place, state.st_size, state.st_mtime_ns) for file, place, state in states))


def content_digest(slide: SlideFiles, spots: int = 0) -> str:
    """SHA-256 of the size and of the first and last 64 KiB of each file: the same wherever and since whenever they lie.

    Args:
        slide: its files.
        spots: at how many places between, evenly spread, 4 KiB count as well. Files without compression may have equal ends.

    Raises:
        OSError: a file cannot be read.
    """
    digest = hashlib.sha256()
    for file, place, size, _ in slide.files:
        digest.update(f"{place}\0{size}\0".encode(errors="surrogateescape"))
        with open(file, "rb") as reader:
            digest.update(reader.read(_END))
            reader.seek(max(size - _END, 0))
            digest.update(reader.read(_END))
            for spot in range(1, spots + 1):
                reader.seek(size * spot // (spots + 1))
                digest.update(reader.read(_SPOT))
    return digest.hexdigest()


def copy_name(path: str, content: str = "") -> str:
    """Name of the copy of a slide of some content, see `content_digest`; its length depends on the slide's own name alone."""
    stem, suffix = os.path.splitext(os.path.basename(path))
    stem = os.fsencode(stem)[:_LONGEST_STEM].decode(errors="ignore")
    return f"{hashlib.sha256(content.encode()).hexdigest()[:24]}-{stem}{suffix}"
