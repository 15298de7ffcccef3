"""Paths of slides as integers, the form in which a model takes them."""

import os
from collections.abc import Iterable

import numpy as np

from ats_mag.geometry.multiples import round_up

_MULTIPLE = 64  # path codes are padded to a multiple of this, so that few widths are traced


def encode_paths(paths: Iterable[str | os.PathLike[str]]) -> np.ndarray:
    """Returns paths as `(B, L)` int32: their bytes (UTF-8), zero-padded, L a multiple of 64.

    A model takes slides in this form, as strings do not pass through every distribution strategy and backend.

    Raises:
        ValueError: a path is empty or contains zero bytes.
    """
    encoded = [path_bytes(path) for path in paths]
    longest = max((len(path) for path in encoded), default=1)
    codes = np.zeros((len(encoded), codes_length(longest)), np.int32)
    for row, path in zip(codes, encoded, strict=True):
        row[: len(path)] = np.frombuffer(path, np.uint8)
    return codes


def codes_length(path_length: int) -> int:
    """The L of path codes that hold paths of so many bytes."""
    return round_up(path_length, _MULTIPLE)


def printable(path: str | os.PathLike[str]) -> str:
    """The path for reports: bytes that are no UTF-8, as in names from other systems, become escapes."""
    return os.fsencode(path).decode(errors="backslashreplace")


def path_bytes(path: str | os.PathLike[str] | bytes) -> bytes:
    """The bytes of one path.

    Raises:
        ValueError: it is empty or contains zero bytes.
    """
    encoded = os.fsencode(path)
    if not encoded or b"\0" in encoded:
        raise ValueError(f"a path must not be empty nor contain zero bytes. Received: {encoded!r}")
    return encoded
