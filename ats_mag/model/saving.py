"""Loading what was saved."""

from __future__ import annotations

import os

import keras

from ats_mag.model import classifier

__all__ = ["load_classifier", "load_model"]


def load_model(path: str | os.PathLike[str], compile: bool = True) -> keras.Model:
    """Loads a `.keras` file in which classes of this package occur.

    Args:
        path: the file.
        compile: whether to restore the optimiser, too.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: it is not a `.keras` file.
    """
    if not os.path.exists(path):
        raise FileNotFoundError(f"cannot load the model {os.fspath(path)!r}: the file does not exist")
    try:
        return keras.saving.load_model(path, compile=compile)
    except (ValueError, OSError) as error:
        raise ValueError(f"cannot load the model {os.fspath(path)!r}: {error}") from error


def load_classifier(path: str | os.PathLike[str]) -> classifier.SlideClassifier:
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
    model = load_model(path, compile=False)
    if not isinstance(model, classifier.SlideClassifier):
        raise ValueError(f"{os.fspath(path)!r} holds a {type(model).__name__}, not a SlideClassifier")
    return model
