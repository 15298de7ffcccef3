"""Loading the slide reading library: into TensorFlow as ops, or alone by its plain C entries.

Its ops register themselves with TensorFlow while it is being loaded, and that happens once per process. So TensorFlow must
load it where TensorFlow is there, and a process that loaded it alone first needs a copy for TensorFlow.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

LIBRARY = Path(__file__).resolve().parent / "op" / "_ats_mag_op.so"
_OPS = ("AtsMagReadPatches", "AtsMagReadOverview", "AtsMagSlideGeometry", "AtsMagSnapPatches")


def find_library() -> Path:
    """Returns the library's path, and makes sure that it will find OpenSlide.

    Raises:
        ImportError: it has not been built.
    """
    if not LIBRARY.exists():
        raise ImportError(
            f"the slide reading op is not built: {LIBRARY} does not exist. Install the package (`pip install .`, or "
            "`pip install -e .` in a checkout); this needs a C++ compiler."
        )
    # In an editable installation the library does not lie beside the package that brings OpenSlide.
    openslide = importlib.util.find_spec("openslide_bin")
    if "ATS_MAG_OPENSLIDE" not in os.environ and openslide is not None and openslide.origin is not None:
        shared = Path(openslide.origin).with_name("libopenslide.so.1")
        if shared.exists():
            os.environ["ATS_MAG_OPENSLIDE"] = str(shared)
    return LIBRARY


def load_op() -> str:
    """Loads the op library into TensorFlow, once, and returns its path.

    A process that serves an exported model needs nothing else of this package: `tf.load_op_library(path)` there. It
    finds OpenSlide through the environment variable `ATS_MAG_OPENSLIDE`, the sibling package `openslide_bin`, or as
    the system's `libopenslide.so.1`.

    Raises:
        ImportError: the library has not been built, or another copy of it was loaded before.
    """
    raw_ops()
    return str(LIBRARY)


@functools.cache
def raw_ops() -> ModuleType:
    """The library's ops as TensorFlow's module of raw functions; loads it into TensorFlow.

    Raises:
        ImportError: as `load_op`.
    """
    import tensorflow as tf

    library = find_library()
    ops = tf.load_op_library(_copy(library) if _loaded_alone() else str(library))
    if not hasattr(ops, "ats_mag_read_patches"):  # TensorFlow gives the functions to whoever defines an op first
        raise ImportError(
            f"another copy of the slide reading op was loaded in this process before {library}; load this one first, "
            "with ats_mag.load_op()"
        )
    for name in _OPS:
        try:
            tf.no_gradient(name)
        except KeyError:  # already registered, when this module is imported a second time
            continue
    return ops


def c_entries() -> ctypes.CDLL:
    """The library's plain C entries, without TensorFlow where that has not been imported.

    Raises:
        ImportError: as `load_op`.
    """
    if not _loaded_alone() and sys.modules.get("tensorflow") is not None:
        # TensorFlow learns of the ops only when it loads the library itself, and before anybody else.
        return ctypes.CDLL(load_op())
    return _alone()


def _loaded_alone() -> bool:
    """Whether the library was loaded here before TensorFlow, and so without its ops."""
    return _alone.cache_info().currsize > 0


@functools.cache
def _alone() -> ctypes.CDLL:
    return ctypes.CDLL(str(find_library()))


def _copy(library: Path) -> str:
    """Another library of the same content, for a process that has loaded this one without TensorFlow.

    The ops register themselves while a library is being loaded, and that happens once. A file in memory, as no folder
    can be relied on to be writable and executable.
    """
    file = os.memfd_create(library.name)
    os.write(file, library.read_bytes())
    return f"/proc/self/fd/{file}"
