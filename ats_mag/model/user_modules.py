"""Modules of users that define layers which their models hold: importing them lets the models be loaded."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import keras


def import_modules(names: Iterable[str]) -> None:
    """Imports modules, and makes their Keras classes known under their names, where they did not register them.

    Args:
        names: of modules, as in an import statement, also such that lie where one stands; or paths of `.py` files.

    Raises:
        ImportError: there is no such module, or it fails.
    """
    for name in names:
        try:
            module = _of_file(Path(name)) if name.endswith(".py") else _of_name(name)
        except Exception as error:
            raise ImportError(f"the module {name!r} cannot be imported: {type(error).__name__}: {error}") from error
        _make_known(module)


def _of_name(name: str) -> ModuleType:
    here = os.getcwd()
    if here not in sys.path:  # a command, unlike `python -m`, does not look there
        sys.path.insert(0, here)
    return importlib.import_module(name)


def _of_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(f"{str(path)!r} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)
    spec.loader.exec_module(module)
    return module


def _make_known(module: ModuleType) -> None:
    kinds = (
        keras.layers.Layer,
        keras.losses.Loss,
        keras.metrics.Metric,
        keras.optimizers.Optimizer,
        keras.initializers.Initializer,
        keras.regularizers.Regularizer,
        keras.constraints.Constraint,
    )
    known = keras.saving.get_custom_objects()
    for name, found in inspect.getmembers(module, inspect.isclass):
        if issubclass(found, kinds) and found.__module__ == module.__name__:
            known.setdefault(name, found)
