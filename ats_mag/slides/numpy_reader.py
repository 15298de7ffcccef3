"""The slide library on NumPy arrays, through its plain C entries: no TensorFlow needed."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

import numpy as np

from ats_mag.slides.errors import exception_of
from ats_mag.slides.paths import path_bytes
from ats_mag.slides.shared_library import c_entries
from ats_mag.tensors import Downsample, Location, PathCodes

_MESSAGE = 4096  # bytes of an error's message that are kept
_ALLOCATE = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
_RECEIVE = ctypes.CFUNCTYPE(None, ctypes.c_char_p)

# Exceptions of all calls, besides those named: SlideError for a file that is no slide or is damaged, PermissionError.


def close_idle() -> None:
    """Closes the slides that nothing reads from now; they are opened again where they are asked for."""
    c_entries().ats_mag_close_idle()


def read_patches(
    path: np.ndarray, location: np.ndarray, downsample: np.ndarray, size: tuple[int, int], on_error: str = "raise"
) -> tuple[np.ndarray, np.ndarray]:
    """Reads N patches from each of B slides, as `reader.read_patches`.

    Args:
        path: `(B, L)` path codes, see `encode_paths`.
        location: `(B, N, 2)` integers, level-0 (x, y) of the top-left corners.
        downsample: `(B, N)` level-0 pixels per patch pixel.
        size: (height, width) of a patch.
        on_error: "raise", or "fill": a patch that cannot be read is white and not valid.

    Returns:
        patches `(B, N, height, width, 3)` uint8, valid `(B, N)` bool.

    Raises:
        FileNotFoundError: a file does not exist.
        ValueError: arrays that do not fit together; a location or downsample that is absurd.
    """
    codes, location, downsample = _places(path, location, downsample)
    patches = np.empty((*downsample.shape, *size, 3), np.uint8)
    valid = np.empty(downsample.shape, bool)
    counts = [ctypes.c_int64(n) for n in (*codes.shape, downsample.shape[1], *size)]
    _call(
        "ats_mag_read_patches", _at(codes), *counts[:2], _at(location), _at(downsample), *counts[2:],
        ctypes.c_int(on_error == "fill"), _at(patches), _at(valid),
    )  # fmt: skip
    return patches, valid


def snap_patches(
    path: np.ndarray, location: np.ndarray, downsample: np.ndarray, size: tuple[int, int], reach: np.ndarray
) -> np.ndarray:
    """Moves patches where then fewer tiles have to be decoded, as `reader.snap_patches`.

    Args:
        path, location, downsample, size: as of `read_patches`.
        reach: `(B,)` level-0 pixels; a patch moves by less along each axis.

    Returns:
        `(B, N, 2)` int64, the places.

    Raises:
        ValueError: as `read_patches`.
    """
    codes, location, downsample = _places(path, location, downsample)
    reach = np.ascontiguousarray(reach, np.float64)
    if reach.shape != (len(codes),):
        raise ValueError(f"reach must be (B,) for {len(codes)} slides. Received: {reach.shape}")
    snapped = np.empty(location.shape, np.int64)
    counts = [ctypes.c_int64(n) for n in (*codes.shape, downsample.shape[1], *size)]
    _call(
        "ats_mag_snap_patches", _at(codes), *counts[:2], _at(location), _at(downsample), *counts[2:],
        _at(reach), _at(snapped),
    )  # fmt: skip
    return snapped


def read_overview(path: str | os.PathLike[str], mpp: float, slide_mpp: float = float("nan")) -> np.ndarray:
    """The slide's bounds at `mpp` um/px, `(h, w, 3)` uint8, as `reader.read_overview`.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: its resolution is unknown or implausible, or the overview would be too large.
    """
    images: list[np.ndarray] = []

    @_ALLOCATE
    def allocate(height: int, width: int) -> int | None:
        try:
            images.append(np.empty((height, width, 3), np.uint8))
        except MemoryError:
            return None
        return images[-1].ctypes.data

    _call(
        "ats_mag_read_overview",
        path_bytes(path),
        ctypes.c_double(float(mpp)),
        ctypes.c_double(float(slide_mpp)),
        allocate,
    )
    return images[-1]


def slide_geometry(path: str | os.PathLike[str], slide_mpp: float = float("nan")) -> tuple[np.ndarray, float]:
    """The bounds `(4,)` int64 (x, y, width, height; level-0 pixels) and the um/px of one slide.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: its resolution is unknown or implausible.
    """
    codes = np.frombuffer(path_bytes(path), np.uint8)
    stated, mpp, bounds = np.array([slide_mpp], np.float64), np.empty(1, np.float64), np.empty(4, np.int64)
    _call(
        "ats_mag_slide_geometry", _at(codes), ctypes.c_int64(1), ctypes.c_int64(len(codes)),
        _at(stated), _at(bounds), _at(mpp),
    )  # fmt: skip
    return bounds, float(mpp[0])


def slide_json(path: str | os.PathLike[str], slide_mpp: float = float("nan")) -> bytes:
    """Everything the library knows of a slide, as JSON; see `properties.slide_info`.

    Raises:
        FileNotFoundError: the file does not exist.
    """
    received: list[bytes] = []
    _call("ats_mag_slide_info", path_bytes(path), ctypes.c_double(float(slide_mpp)), _RECEIVE(received.append))
    return received[0]


def _places(path: PathCodes, location: Location, downsample: Downsample) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    codes = np.ascontiguousarray(path, np.uint8)
    location = np.ascontiguousarray(location, np.int64)
    downsample = np.ascontiguousarray(downsample, np.float64)
    if codes.ndim != 2 or location.shape != (len(codes), *downsample.shape[1:], 2) or downsample.ndim != 2:
        raise ValueError(
            "path, location and downsample must be (B, L), (B, N, 2) and (B, N). "
            f"Received: {codes.shape}, {location.shape} and {downsample.shape}"
        )
    return codes, location, downsample


def _at(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def _call(name: str, *arguments: object) -> None:
    message = ctypes.create_string_buffer(_MESSAGE)
    entry: Callable[..., int] = getattr(c_entries(), name)
    code = entry(*arguments, message, ctypes.c_int64(_MESSAGE))
    if code:
        raise exception_of(code, message.value.decode(errors="replace"))
