"""What makes two predictions comparable: the same model, asked in the same way."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import ats_mag
from ats_mag.system.atomic_files import digest

Models: TypeAlias = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]  # one, or several to be averaged


@dataclass(frozen=True)
class ModelIdentity:
    """A model, or several whose predictions are averaged, and how it is asked.

    Attributes:
        models: `.keras` files or folders of exported SavedModels; absolute.
        fingerprint: SHA-256 of their content.
        options: further arguments of `Predictor`.
        version: of the package that asks.
        modules: to import before it is loaded, see `import_modules`.
    """

    models: tuple[str, ...]
    fingerprint: str
    options: Mapping[str, Any]
    version: str = ats_mag.__version__
    modules: tuple[str, ...] = ()

    @classmethod
    def of(cls, models: Models, options: Mapping[str, Any], modules: tuple[str, ...] = ()) -> ModelIdentity:
        """Of a model on disk, or of several.

        Raises:
            FileNotFoundError: no model is there.
        """
        paths = paths_of(models)
        for path in paths:
            if not path.exists():
                raise FileNotFoundError(f"model {str(path)!r} does not exist")
        return cls(tuple(map(os.path.abspath, paths)), models_fingerprint(paths), dict(options), modules=modules)

    @property
    def plain_options(self) -> dict[str, Any]:
        """The options that are not left at None, as JSON gives them back."""
        asked = {
            name: dataclasses.asdict(value)
            if dataclasses.is_dataclass(value) and not isinstance(value, type)
            else value
            for name, value in self.options.items()
            if value is not None
        }
        return json.loads(json.dumps(asked, default=repr))

    def card(self) -> dict[str, Any]:
        """What stands beside the rows that it made."""
        return {
            "model": self.models[0] if len(self.models) == 1 else list(self.models),
            "sha256": self.fingerprint,
            "options": self.plain_options,
            "ats_mag": self.version,
        }


def paths_of(models: Models) -> list[Path]:
    """The files or folders, of one model or of several.

    Raises:
        ValueError: there is none.
    """
    paths = [Path(models)] if isinstance(models, str | os.PathLike) else [Path(model) for model in models]
    if not paths:
        raise ValueError("no model is given")
    return paths


def models_fingerprint(models: Sequence[str | os.PathLike[str]]) -> str:
    """SHA-256 of the content of models; of one, as `model_fingerprint`."""
    found = [model_fingerprint(model) for model in models]
    return found[0] if len(found) == 1 else hashlib.sha256("\n".join(found).encode()).hexdigest()


def model_fingerprint(model: str | os.PathLike[str]) -> str:
    """SHA-256 of a model's content, of a folder over all its files, wherever it lies."""
    if not os.path.isdir(model):
        return digest(model)
    files = sorted(path for path in Path(model).rglob("*") if path.is_file())
    lines = [f"{path.relative_to(model).as_posix()} {digest(path)}" for path in files]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
