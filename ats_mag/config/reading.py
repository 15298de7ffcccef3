"""Reading a configuration from its YAML file, and saying in words what is wrong with it."""

from __future__ import annotations

import difflib
import os
import reprlib
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ats_mag.config.schema import RunConfig
from ats_mag.config.spelled_numbers import SpelledFloat, SpelledInt


class ConfigError(ValueError):
    """A configuration that cannot be used; the message names the file, the key and what was expected."""


def read_config(path: str | os.PathLike[str]) -> RunConfig:
    """Reads a configuration; relative paths in it are relative to the file's folder.

    Raises:
        ConfigError: the file is missing or no YAML, or a key is unknown or has a wrong value.
    """
    path = Path(path)
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), _Loader) or {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"configuration {str(path)!r} cannot be read: {error}; `ats-mag init` writes one") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"configuration {str(path)!r} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise ConfigError(
            f"configuration {str(path)!r} must hold sections such as `data:`. Received: {reprlib.repr(values)}"
        )
    try:
        config = RunConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError("\n".join(f"{str(path)!r}: {problem(e)}" for e in error.errors())) from error
    return resolve_paths(config, path.parent)


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice, of which YAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]  # "<<" takes over another's
        names = [self.construct_object(key, deep=deep) for key in keys]
        for i, name in enumerate(names):
            if name in names[:i]:
                raise yaml.constructor.ConstructorError(None, None, f"key {name!r} stands twice", node.start_mark)
        return super().construct_mapping(node, deep=deep)


def _spelled(
    kind: type[SpelledInt] | type[SpelledFloat], construct: Callable[[_Loader, yaml.ScalarNode], float]
) -> Callable[[_Loader, yaml.ScalarNode], float]:
    def read(loader: _Loader, node: yaml.ScalarNode) -> float:
        found = kind(construct(loader, node))
        found.spelling = node.value
        return found

    return read


_Loader.add_constructor("tag:yaml.org,2002:int", _spelled(SpelledInt, yaml.SafeLoader.construct_yaml_int))
_Loader.add_constructor("tag:yaml.org,2002:float", _spelled(SpelledFloat, yaml.SafeLoader.construct_yaml_float))


def read_value(text: str) -> object:
    """A value as a configuration has it behind a key.

    Raises:
        yaml.YAMLError: it is no YAML.
    """
    return yaml.load(text, _Loader)


def problem(error: ErrorDetails) -> str:
    """One of pydantic's errors in words."""
    where = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        *sections, key = error["loc"]
        near = difflib.get_close_matches(str(key), _keys(sections), 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        return f"unknown key {where!r}: {hint}correct or remove it (`ats-mag init` writes all keys)"
    plain = {"model_type": "this is a section, of keys below it", "path_type": "a path is expected"}
    text = plain.get(error["type"], error["msg"].removeprefix("Value error, "))
    return f"{where}: {text}" if "Received:" in text else f"{where}: {text}. Received: {error['input']!r}"


def _keys(sections: list[str | int]) -> list[str]:
    """The keys that a section, named from the top, may have."""
    model: Any = RunConfig
    for section in sections:
        model = model.model_fields[section].annotation
    return list(model.model_fields)


_PATHS = (
    "run",
    "data.slides",
    "data.manifest",
    "prepare.records",
    "prepare.tissue.masks",
    "train.local_copies",
    "train.feature_cache_file",
)


def resolve_paths(config: RunConfig, folder: Path) -> RunConfig:
    """The configuration with its relative paths joined to a folder; "~" is the user's home."""
    values = config.model_dump()
    for name in _PATHS:
        *sections, key = name.split(".")
        section = values
        for part in sections:
            section = section[part]
        if section[key] is not None:
            section[key] = folder / section[key].expanduser()
    encoder = values["model"]["encoder"]
    if encoder is not None and (path := folder / Path(encoder).expanduser()).is_dir():  # no name, but a folder
        values["model"]["encoder"] = str(path)
    return RunConfig.model_validate(values)
