"""Loading what was saved."""

from __future__ import annotations

import os

import keras

from ats_mag.model import classifier
from ats_mag.model.unloadable import why_not_loaded
from ats_mag.system.atomic_files import whole_file

__all__ = ["load_classifier", "load_model", "save_model"]


def load_model(path: str | os.PathLike[str], compile: bool = True) -> keras.Model:
    """Loads a `.keras` file in which classes of this package occur.

    Args:
        path: the file.
        compile: whether to restore the optimiser, too.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: it is not a `.keras` file, or a damaged one, or holds classes that are not known here.
    """
    if not os.path.exists(path):
        raise FileNotFoundError(f"cannot load the model {os.fspath(path)!r}: the file does not exist")
    try:
        return keras.saving.load_model(path, compile=compile)
    except Exception as error:  # what a damaged file or another release's brings up is of any kind
        raise ValueError(f"cannot load the model {os.fspath(path)!r}: {why_not_loaded(path, error)}") from error


def save_model(model: keras.Model, path: str | os.PathLike[str]) -> None:
    """Writes a `.keras` file, whole or not at all.

    Raises:
        OSError: it cannot be written; nothing is left of it.
    """
    with whole_file(path) as unfinished:
        named = unfinished.with_name(unfinished.name + ".keras")  # Keras goes by the suffix
        try:
            model.save(named)
            os.replace(named, unfinished)
        except (RuntimeError, ValueError) as error:  # of HDF5, which a full disk brings about
            raise OSError(
                f"the model {os.fspath(path)!r} could not be written: {' '.join(str(error).split())}"
            ) from error
        finally:
            named.unlink(missing_ok=True)


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
