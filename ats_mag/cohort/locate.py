"""The slides that the paths of a manifest name, in the folder of slides as it is here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from ats_mag.slides.paths import printable

if TYPE_CHECKING:
    import pandas as pd

    from ats_mag.slides.slide_folder import SlideFolder

_SHOWN = 5


class Located(NamedTuple):
    """The paths of a manifest, looked up.

    Attributes:
        paths: as they are in the folder; those that were not found as they were.
        notes: sentences on paths that are taken for files of a slightly other name, and on such that may be meant.
    """

    paths: list[str]
    notes: list[str]


def locate(paths: pd.Series, folder: SlideFolder) -> Located:
    """Looks up the paths of a manifest; its index has the line numbers.

    Raises:
        ValueError: several files may be meant, or the file's path is no UTF-8; the message begins with the line.
    """
    located, taken, hints = [], [], []
    for line, path in paths.items():
        named = folder.named(path)
        found = named or folder.taken_for(path)
        if len(found) > 1:
            raise ValueError(
                f"line {line}: {path!r} may be {_first(list(map(repr, found)))} of {str(folder.root)!r}: write the path of one of "
                "them into the table"
            )
        if found and printable(found[0]) != found[0]:
            raise ValueError(
                f"line {line}: the path of the slide is '{printable(found[0])}', which is no UTF-8: rename the file or folder"
            )
        if found and not named:
            taken.append(f"{path!r} (line {line}) for {found[0]!r}")
        elif not found and (alike := folder.alike(path)):
            hints.append(f"{path!r} (line {line}), is it {alike[0]!r}?")
        located.append(found[0] if found else path)
    notes = [f"{len(taken)} path(s) are taken for files of a slightly other name: {_first(taken)}"] if taken else []
    if hints:
        notes.append(f"{len(hints)} path(s) are not there, but a file of that name in another folder: {_first(hints)}")
    return Located(located, notes)


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
