"""Configurations of single runs as commented YAML: the keys that matter, and why they have their values."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from ats_mag.config.reading import ConfigError, problem
from ats_mag.config.schema import RunConfig, Section
from ats_mag.config.template import attribute_docs, comment, dumped, spelled_null
from ats_mag.system.atomic_files import write_whole


def config_text(values: Mapping[str, Any], notes: Mapping[str, str], head: str) -> str:
    """YAML of the given keys only, each below its note or else what its section's docstring says of it.

    Args:
        values: sections and keys as `RunConfig` has them, plain values.
        notes: `section.key` -> why it has this value.
        head: what the file is for; stands above everything.

    Raises:
        ConfigError: an unknown key or a wrong value.
    """
    try:
        RunConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError("\n".join(problem(e) for e in error.errors())) from error
    return "\n".join([*comment(head, ""), *_lines(RunConfig, values, notes, "")]) + "\n"


def write_config(path: str | os.PathLike[str], values: Mapping[str, Any], notes: Mapping[str, str], head: str) -> None:
    """Writes `config_text`, whole or not at all."""
    write_whole(path, config_text(values, notes, head).encode())


def _lines(model: type[Section], values: Mapping[str, Any], notes: Mapping[str, str], section: str) -> Iterator[str]:
    docs = attribute_docs(model)
    indent = "  " * (section.count(".") + 1) if section else ""
    for name, value in values.items():
        key = f"{section}.{name}" if section else name
        inner = type(model.model_fields[name].get_default(call_default_factory=True))
        if issubclass(inner, Section):
            if not section:
                yield ""
            yield f"{indent}{name}:"
            yield from _lines(inner, value, notes, key)
        else:
            yield from comment(notes.get(key) or spelled_null(docs.get(name, "")), indent)
            yield f"{indent}{name}: {dumped(value)}"
