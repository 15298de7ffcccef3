"""The slide files in a folder, found by name, whatever subfolders they lie in."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path, PurePath, PurePosixPath
from urllib.parse import unquote, urlsplit

from ats_mag.slides.slide_files import ONE_FILE, WITH_FOLDER, walk_folder

DICOM = ".dcm"  # one slide is several files of a folder
SUFFIXES = (*ONE_FILE, WITH_FOLDER, DICOM, ".vms", ".vmu")
FEATURE_SUFFIXES = (".h5", ".pt")  # of files of features, by which tables of other tools may name slides
_PICTURES = (".bmp", ".jpeg", ".jpg", ".png")  # of flat pictures, by which a table may name the slides that they became


def stem_of(name: str) -> str:
    """A slide's name without its folder and its suffix, if that is one of a slide or of its features."""
    if re.match(r"[A-Za-z]:\\|\\\\", name):  # a whole path of Windows
        name = name.replace("\\", "/")
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
        """The slides that a table's entry may mean, relative to the folder: those it names, else those it is taken for."""
        return self.named(name) or self.taken_for(name)

    def named(self, name: str) -> list[str]:
        """The slides that a table's entry names.

        An entry is the path of a file; else a path, a file name or a stem (without suffix), of which the folder part is
        the end of the slide's folder.
        """
        if os.path.isfile(self.root / name):
            return [name]
        if "\\" in name:  # of a table that was made on Windows
            return self.named(name.replace("\\", "/"))
        name = _same(name)
        parents = PurePath(name).parent.parts
        of_features = name.lower().endswith(FEATURE_SUFFIXES)
        found = self._by_name.get(stem_of(name) if of_features else PurePath(name).name, [])
        return [path for path in found if not parents or PurePath(_same(path)).parent.parts[-len(parents) :] == parents]

    def taken_for(self, name: str) -> list[str]:
        """The slides that a table's entry names but for how machines and spreadsheets write paths.

        It may be absolute and of another machine, or a URL of a file; in another case; without the second of two suffixes
        (".ome.tif"), or without the zeros before a number; or it may be of the flat picture that the slide was converted from. As far as both the entry and the slide have folders, they are the
        same.
        """
        *parents, _ = entry = _parts(name)
        found = []
        for path in self._alike(entry[-1]):
            folders = _parts(path)[:-1]
            shared = min(len(folders), len(parents))
            if shared == 0 or folders[-shared:] == parents[-shared:]:
                found.append(path)
        return found

    def alike(self, name: str) -> list[str]:
        """The slides of the name of a table's entry, as `taken_for` has it, in whatever folder."""
        return self._alike(_parts(name)[-1])

    def _alike(self, file: str) -> list[str]:
        """By the first way of writing names in which there is one; `file` as `_parts` gives it."""
        if file.endswith(FEATURE_SUFFIXES):
            file = stem_of(file)
        if file.endswith(_PICTURES):
            file = os.path.splitext(file)[0]
        return next((found for key in _WAYS if (found := self._by_way[key].get(key(file)))), [])

    @cached_property
    def _by_way(self) -> dict[Callable[[str], str], dict[str, list[str]]]:
        """The slides by their name, with and without suffix, in each way of writing it."""
        ways: dict[Callable[[str], str], dict[str, list[str]]] = {key: {} for key in _WAYS}
        for path in self.slides:
            file = _parts(path)[-1]
            for key, found in ways.items():
                for name in {key(file), key(stem_of(file))}:
                    found.setdefault(name, []).append(path)
        return ways

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


def _parts(name: str) -> list[str]:
    """The folders and the file of a path, in lower case, without where it begins: the root, a drive of Windows, a server."""
    if name.lower().startswith("file:"):
        name = unquote(urlsplit(name).path)
    path = PurePosixPath(re.sub(r"^[A-Za-z]:", "", name.replace("\\", "/")).lstrip("/"))
    return [_same(part).casefold() for part in path.parts] or [""]


def _without_ome(name: str) -> str:
    return re.sub(r"\.ome(?=\.[^.]*$|$)", "", name)


def _as_number(name: str) -> str:
    """As a spreadsheet writes a name that is a number: without zeros before it, or with ".0" behind it."""
    return re.sub(r"^0+(?=\d+(\.[a-z]\w*)*$)", "", re.sub(r"(?<=\d)\.0+$", "", name))


_WAYS: tuple[Callable[[str], str], ...] = (str.casefold, _without_ome, _as_number)


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
