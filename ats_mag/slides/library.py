"""Where the slide reading library lies, and how it finds OpenSlide."""

import importlib.util
import os
from pathlib import Path

LIBRARY = Path(__file__).resolve().parent / "op" / "_ats_mag_op.so"


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
