"""The commented configuration that `ats-mag init` writes, made from the models, so that it cannot fall behind them."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import get_args

import yaml

from ats_mag.config.schema import RunConfig, Section

WIDTH = 100

_HEAD = """\
Configuration of an ats_mag run. Every key is here with its default; those that you do not need may be removed.
Relative paths are relative to this file's folder. Resolutions are um/px (0.5) or magnifications ("20x").
Then: ats-mag validate FILE, ats-mag prepare FILE, ats-mag train FILE, ats-mag evaluate FILE
"""


def template() -> str:
    """All sections and keys as YAML with comments; reads back as `RunConfig()`."""
    head = [f"# {line}" for line in _HEAD.splitlines()]
    return "\n".join([*head, "", *_lines(RunConfig, "")]) + "\n"


def attribute_docs(model: type[Section]) -> dict[str, str]:
    """What a section's docstring says of each key, one line each."""
    _, _, listed = inspect.cleandoc(model.__doc__ or "").partition("Attributes:\n")
    entries = re.findall(r"^    (\w+): (.*(?:\n        .*)*)", listed, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}


def _lines(model: type[Section], indent: str) -> Iterator[str]:
    docs = attribute_docs(model)
    for name, field in model.model_fields.items():
        default = field.get_default(call_default_factory=True)
        if isinstance(default, Section):
            if not indent:
                yield ""
            summary = inspect.cleandoc(type(default).__doc__ or "").partition("\n\n")[0]
            yield from comment(spelled_null(summary), indent)
            yield f"{indent}{name}:"
            yield from _lines(type(default), indent + "  ")
        else:
            yield from comment(spelled_null(docs.get(name) or _choices(field.annotation)), indent)
            yield f"{indent}{name}: {dumped(default)}"


def _choices(annotation: object) -> str:
    """What a key without a text of its own may be."""
    choices = [str(choice) for choice in get_args(annotation) if isinstance(choice, str)]
    return f"One of {', '.join(choices)}." if choices else ""


def spelled_null(text: str) -> str:
    """A text on Python's values as one on YAML's."""
    return re.sub(r"\bNone\b", "null", " ".join(text.split()))  # as YAML spells it


def comment(text: str, indent: str) -> list[str]:
    """Lines of a comment, broken anew within each line of the text."""
    start = f"{indent}# "
    return [
        line
        for paragraph in text.splitlines()
        for line in textwrap.wrap(paragraph, WIDTH, initial_indent=start, subsequent_indent=start)
    ]


def dumped(value: object) -> str:
    """A value as YAML, in one line."""
    plain = value if isinstance(value, str | int | float | list | dict | None) else str(value)
    return yaml.safe_dump([plain], default_flow_style=True, sort_keys=False, width=float("inf")).strip()[1:-1]
