"""Loading what was saved."""

from __future__ import annotations

import os
from typing import Any

import keras

# Importing registers every class of the package that a saved model may hold.
from ats_mag.layers import (
    expectation,
    joint_softmax,
    l2_normalize,
    read_slide_patches,
    regularize_attention,
    sample_patches,
)

from ats_mag.model import classifier as models, networks  # isort: skip
from ats_mag.sampling import regularizers  # isort: skip

__all__ = ["load_model"]

_REGISTERED = (
    expectation,
    joint_softmax,
    l2_normalize,
    models,
    networks,
    read_slide_patches,
    regularize_attention,
    regularizers,
    sample_patches,
)


def load_model(path: str | os.PathLike[str], compile: bool = True) -> Any:
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
