"""Why a model cannot be loaded, in one sentence that says what to do."""

from __future__ import annotations

import json
import os
import re
import zipfile
from pathlib import Path

_LONGEST = 300  # characters of an error of Keras' that are repeated
_HDF5 = b"\x89HDF\r\n\x1a\n"
_UNKNOWN_CLASS = re.compile(r"Could not locate (?:class|function) '([^']+)'")


def why_not_loaded(path: str | os.PathLike[str], error: Exception) -> str:
    """What is wrong with the file, as far as it can be told.

    Args:
        path: the file or folder.
        error: what Keras raised.
    """
    if os.path.isdir(path):
        return "it is a folder, such as of an exported SavedModel; give a `.keras` file"
    if isinstance(error, PermissionError):
        return "you have no right to read it"
    if not zipfile.is_zipfile(path):
        return _no_archive(Path(path))
    unknown = _UNKNOWN_CLASS.search(str(error))
    if unknown is not None:
        return (
            f"it holds {unknown.group(1)!r}, which is not of ats_mag or Keras: import the module that defines it first (on the "
            "command line: `--import MODULE`)"
        )
    damaged = damage_of(Path(path))
    if damaged is not None:
        return damaged
    text = str(error) or type(error).__name__
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    shown = lines[0] if len(lines[0]) <= _LONGEST else lines[0][:_LONGEST] + "..."
    return shown + _other_version(Path(path))


def _no_archive(path: Path) -> str:
    """Of a file that is no zip archive."""
    with path.open("rb") as file:
        head = file.read(8)
    if not head:
        return "the file is empty; copy it again from its source"
    if head.startswith(b"PK"):
        return "it was cut off; copy it again from its source"
    if head == _HDF5:
        return "it is an HDF5 file, of weights alone or of an earlier Keras; save the model anew, as `.keras`"
    return "it is no `.keras` file"


def damage_of(path: Path) -> str | None:
    """What is wrong with a zip archive that should be a `.keras` file, as far as that shows without Keras."""
    try:
        with zipfile.ZipFile(path) as archive:
            absent = sorted({"config.json", "metadata.json", "model.weights.h5"} - set(archive.namelist()))
            if absent:
                return f"it is no `.keras` file, or an incomplete one: it lacks {', '.join(absent)}"
            part = archive.testzip() or _damaged_part(archive)
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        return f"the file is damaged ({error}); copy it again from its source"
    return None if part is None else f"the file is damaged (in {part}); copy it again from its source"


def _damaged_part(archive: zipfile.ZipFile) -> str | None:
    """Which part is not what its name says."""
    for name in ("config.json", "metadata.json"):
        try:
            json.loads(archive.read(name))
        except ValueError:
            return name
    with archive.open("model.weights.h5") as weights:
        return None if weights.read(len(_HDF5)) == _HDF5 else "model.weights.h5"


def _other_version(path: Path) -> str:
    import keras

    try:
        with zipfile.ZipFile(path) as archive:
            written = json.loads(archive.read("metadata.json"))["keras_version"]
    except (KeyError, ValueError, TypeError):
        return ""
    return "" if written == keras.__version__ else f" (Keras {written} wrote it, this is {keras.__version__})"
