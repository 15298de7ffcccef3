"""The model that looks at slides."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ats_mag.model.classifier import SlideClassifier


def load_classifier(path: str | os.PathLike[str]) -> SlideClassifier:
    """Loads a `SlideClassifier` to look with.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: it is an exported SavedModel, which keeps neither patches nor contributions, or another model.
    """
    if os.path.isdir(path):
        raise ValueError(
            f"{os.fspath(path)!r} is a folder: an exported SavedModel says where it looks, but not at what and to which "
            "effect; give the `.keras` file that it was exported from (of a run: fold-K/model.keras)"
        )
    from ats_mag.model.classifier import SlideClassifier
    from ats_mag.model.saving import load_model

    model = load_model(path, compile=False)
    if not isinstance(model, SlideClassifier):
        raise ValueError(f"{os.fspath(path)!r} holds a {type(model).__name__}, not a SlideClassifier")
    return model
