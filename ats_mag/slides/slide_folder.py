"""The slide files in a folder, found by name, whatever subfolders they lie in."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath

from ats_mag.slides.slide_files import ONE_FILE, WITH_FOLDER, walk_folder

DICOM = ".dcm"  # one slide is several files of a folder
SUFFIXES = (*ONE_FILE, WITH_FOLDER, DICOM, ".vms", ".vmu")
FEATURE_SUFFIXES = (".h5", ".pt")  # of files of features, by which tables of other tools may name slides


def stem_of(name: str) -> str:
    """A slide's name without its folder and its suffix, if that is one of a slide or of its features."""
    name = PurePath(name).name
    stem, suffix = os.path.splitext(name)
    return stem if suffix.lower() in SUFFIXES + FEATURE_SUFFIXES else name


class SlideFolder:
    """What a folder holds; it is walked once, links included.

    Args:
        root: the folder.

    Raises:
        NotADirectoryError: it is not there.
        OSError: it, or a folder in it, cannot be looked into.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            raise NotADirectoryError(f"the folder of slides {str(root)!r} does not exist: correct `data.slides`")
        self.slides = sorted(_walk(self.root))
        self._by_name: dict[str, list[str]] = {}
        for path in self.slides:
            name = PurePath(path).name
            for key in {_same(name), _same(stem_of(name))}:
                self._by_name.setdefault(key, []).append(path)

    def find(self, name: str) -> list[str]:
        """The slides that a table's entry may mean, relative to the folder.

        An entry is the path of a file; else a path, a file name or a stem (without suffix), of which the folder part is
        the end of the slide's folder.
        """
        if os.path.isfile(self.root / name):
            return [name]
        if "\\" in name:  # of a table that was made on Windows
            return self.find(name.replace("\\", "/"))
        name = _same(name)
        parents = PurePath(name).parent.parts
        of_features = name.lower().endswith(FEATURE_SUFFIXES)
        found = self._by_name.get(stem_of(name) if of_features else PurePath(name).name, [])
        return [path for path in found if not parents or PurePath(_same(path)).parent.parts[-len(parents) :] == parents]

    def beside(self, paths: Iterable[str]) -> list[str]:
        """The slides of the folder that none of `paths` (relative or absolute) names, as relative paths."""
        named = {os.path.realpath(self.root / path) for path in paths}
        series = {os.path.dirname(path) for path in named if path.lower().endswith(DICOM)}
        return [
            path
            for path in self.slides
            if (real := os.path.realpath(self.root / path)) not in named
            and not (real.lower().endswith(DICOM) and os.path.dirname(real) in series)
        ]


def _same(name: str) -> str:
    """One spelling of letters with accents, which macOS stores in two parts."""
    return unicodedata.normalize("NFC", name)


def _walk(root: Path) -> Iterator[str]:
    seen = set()
    for parent, folders, names in walk_folder(root, links=True):
        state = os.stat(parent)
        if (state.st_dev, state.st_ino) in seen:  # a link to a folder above
            folders.clear()
            continue
        seen.add((state.st_dev, state.st_ino))
        folders[:] = [folder for folder in folders if not folder.startswith(".")]
        for name in names:
            # ".name" are temporary files, and what macOS puts beside the real ones.
            if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                yield os.path.relpath(os.path.join(parent, name), root)
