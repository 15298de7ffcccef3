"""A folder with a model as its makers publish it: `config.json` and the weights in one or several files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ats_mag.model.encoders.safetensors_file import read_safetensors
from ats_mag.model.encoders.stored_tensor import StoredTensor, WeightsError
from ats_mag.model.encoders.torch_file import read_torch_file

WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # in the order of preference
_CONFIG = "config.json"
_PROCESSOR = "preprocessor_config.json"


@dataclass(frozen=True)
class WeightsFolder:
    """What a folder holds.

    Attributes:
        path: the folder.
        config: content of `config.json`.
        processor: content of `preprocessor_config.json`, empty where there is none.
        files: those with the weights.
    """

    path: Path
    config: dict[str, Any]
    processor: dict[str, Any]
    files: tuple[Path, ...]

    def tensors(self) -> dict[str, StoredTensor]:
        """All tensors by name; none is read.

        Raises:
            WeightsError: a file is damaged, or a name is in two files.
        """
        found: dict[str, StoredTensor] = {}
        for file in self.files:
            tensors = read_safetensors(file) if file.suffix == ".safetensors" else read_torch_file(file)
            twice = found.keys() & tensors.keys()
            if twice:
                raise WeightsError(f"{file} holds {min(twice)}, which another file of {self.path} holds, too: keep one")
            found |= tensors
        return found


def is_model_folder(path: Path) -> bool:
    """Whether a folder has a configuration and weights, whatever they are worth."""
    return (path / _CONFIG).is_file() and any(True for _ in _present(path))


def open_folder(path: Path) -> WeightsFolder:
    """Reads a folder's configuration and finds its weights.

    Raises:
        WeightsError: the folder, its configuration or its weights are not there, or cannot be read.
    """
    if not path.is_dir():
        raise WeightsError(f"{path} is not a folder: an encoder is a folder with {_CONFIG} and one of {_files()}")
    if not (path / _CONFIG).is_file():
        raise WeightsError(
            f"{path} has no {_CONFIG}, which says what network its weights are of: copy it there from where the weights are from"
        )
    first = next(_present(path), None)
    if first is None:
        raise WeightsError(f"{path} has no weights: one of {_files()} was expected beside {_CONFIG}")
    processor = _json(path / _PROCESSOR) if (path / _PROCESSOR).is_file() else {}
    return WeightsFolder(
        path, _json(path / _CONFIG), processor, _shards(first) if first.suffix == ".json" else (first,)
    )


def _present(path: Path) -> Iterator[Path]:
    for name in WEIGHTS:
        for file in (path / name, path / f"{name}.index.json"):
            if file.is_file():
                yield file


def _files() -> str:
    return ", ".join(f"{name}, {name}.index.json" for name in WEIGHTS)


def _shards(index: Path) -> tuple[Path, ...]:
    table = _json(index).get("weight_map")
    names = set(table.values()) if isinstance(table, dict) else set()
    if not names or not all(isinstance(name, str) and Path(name).name == name for name in names):
        raise WeightsError(f"{index} names no files of weights: copy it from its source again")
    files = tuple(index.parent / name for name in sorted(names))
    absent = [file.name for file in files if not file.is_file()]
    if absent:
        raise WeightsError(f"{index} names {', '.join(absent)}, which {index.parent} lacks: copy them there, too")
    return files


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{path} is not JSON ({error}): copy it from its source again") from error
    if not isinstance(content, dict):
        raise WeightsError(f"{path} does not hold a JSON object: copy it from its source again")
    return content
