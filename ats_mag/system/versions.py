"""The versions that results depend on."""

from __future__ import annotations

import importlib.metadata
import platform

from ats_mag import __version__

_PACKAGES = ("tensorflow", "keras", "numpy", "pandas", "scikit-learn", "openslide-bin", "openslide-python")


def versions() -> dict[str, str]:
    """Of ats_mag, Python and what results depend on; packages that are not installed are left out."""
    found = {"ats_mag": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
