"""What a machine has of what the package needs."""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
import platform
from collections.abc import Iterator

from ats_mag.backend import on_tensorflow
from ats_mag.slides.shared_library import c_entries, load_op


def findings() -> Iterator[tuple[str, str, bool]]:
    """(name, what was found, whether that is well), in the order in which one would look."""
    yield "python", platform.python_version(), True
    for package in ("ats-mag", "tensorflow", "keras", "openslide-python", "openslide-bin", "numpy"):
        try:
            yield package, importlib.metadata.version(package), True
        except importlib.metadata.PackageNotFoundError:
            yield package, "not installed", False
    import keras
    import tensorflow as tf

    yield "keras backend", keras.backend.backend(), on_tensorflow()
    gpus = tf.config.list_physical_devices("GPU")
    yield "gpu", ", ".join(gpu.name for gpu in gpus) or "none: training runs on the CPU", True
    yield "cpus", str(os.cpu_count()), True

    try:
        library = load_op()
    except (ImportError, OSError, tf.errors.OpError) as error:
        yield "slide op", str(error), False
        return
    yield "slide op", library, True
    entry = c_entries()
    entry.ats_mag_openslide_version.restype = ctypes.c_char_p
    entry.ats_mag_direct.restype = ctypes.c_char_p
    version = entry.ats_mag_openslide_version()
    yield "openslide", version.decode() if version else "not found: pip install openslide-bin", bool(version)
    yield "direct JPEG tiles", entry.ats_mag_direct().decode(), True
    yield "reader threads", str(entry.ats_mag_threads()), True
