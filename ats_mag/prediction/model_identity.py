"""What makes two predictions comparable: the same model, asked in the same way."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ats_mag
from ats_mag.system.atomic_files import digest


@dataclass(frozen=True)
class ModelIdentity:
    """A model and how it is asked.

    Attributes:
        model: a `.keras` file or the folder of an exported SavedModel; absolute.
        fingerprint: SHA-256 of its content.
        options: further arguments of `Predictor`.
        version: of the package that asks.
        modules: to import before it is loaded, see `import_modules`.
    """

    model: str
    fingerprint: str
    options: Mapping[str, Any]
    version: str = ats_mag.__version__
    modules: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, model: str | os.PathLike[str], options: Mapping[str, Any], modules: tuple[str, ...] = ()
    ) -> ModelIdentity:
        """Of a model on disk.

        Raises:
            FileNotFoundError: no model is there.
        """
        if not os.path.exists(model):
            raise FileNotFoundError(f"model {os.fspath(model)!r} does not exist")
        return cls(os.path.abspath(model), model_fingerprint(model), dict(options), modules=modules)

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
            "model": self.model,
            "sha256": self.fingerprint,
            "options": self.plain_options,
            "ats_mag": self.version,
        }


def model_fingerprint(model: str | os.PathLike[str]) -> str:
    """SHA-256 of a model's content, of a folder over all its files, wherever it lies."""
    if not os.path.isdir(model):
        return digest(model)
    files = sorted(path for path in Path(model).rglob("*") if path.is_file())
    lines = [f"{path.relative_to(model).as_posix()} {digest(path)}" for path in files]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
