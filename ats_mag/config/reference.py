"""The page that lists every key of a configuration, made from the models: `python -m ats_mag.config.reference FILE`."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from typing import Any, get_args, get_origin

from pydantic.fields import FieldInfo

from ats_mag.config.schema import RunConfig, Section
from ats_mag.config.template import attribute_docs, dumped
from ats_mag.geometry.units import parse_mpp, parse_slide_mpp
from ats_mag.system.atomic_files import write_whole

_HEAD = """\
# Configuration

One YAML file says everything about a run. `ats-mag init` writes it with all keys, their defaults and what they mean;
keys that are left out have their defaults, keys that are not known are refused. Relative paths are relative to the
file's folder, `~` is the home folder. A resolution is um/px (`0.5`) or a magnification (`20x`, a spelling of 0.5).

What the commands write is listed in [outputs.md](outputs.md). This page is made from the models of
`ats_mag/config/schema.py` by `python -m ats_mag.config.reference docs/configuration.md`; a test holds it current.
"""
_PLAIN = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false", "null": "null"}
_BOUNDS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}


def reference() -> str:
    """The page, in Markdown: a table of keys per section."""
    return "\n".join([_HEAD, *_section(RunConfig, "")])


def _section(model: type[Section], name: str) -> Iterator[str]:
    if name:
        summary = inspect.cleandoc(model.__doc__ or "").partition("\n\n")[0]
        yield from (f"\n## {name}\n", " ".join(summary.split()), "")
    yield from ("| key | value | default | meaning |", "| --- | --- | --- | --- |")
    docs, schema = attribute_docs(model), model.model_json_schema()
    inner: list[tuple[str, type[Section]]] = []
    for key, field in model.model_fields.items():
        default = field.get_default(call_default_factory=True)
        if isinstance(default, Section):
            inner.append((f"{name}.{key}" if name else key, type(default)))
            continue
        is_mpp = any(getattr(m, "func", None) in (parse_mpp, parse_slide_mpp) for m in _metadata(field))
        value = "um/px, or e.g. `20x`" if is_mpp else _value(schema["properties"][key])
        if is_mpp and get_origin(field.annotation) is list:
            value = f"list of: {value}"
        if is_mpp and default is None:
            value += ", null"
        yield f"| `{key}` | {value} | `{dumped(default)}` | {docs.get(key, '').replace('|', chr(92) + '|')} |"
    for section, part in inner:
        yield from _section(part, section)


def _metadata(field: FieldInfo) -> list[object]:
    """All annotations of a field, those inside `X | None` too."""
    return [*field.metadata, *(m for part in get_args(field.annotation) for m in getattr(part, "__metadata__", ()))]


def _value(schema: dict[str, Any]) -> str:
    """A JSON schema in words."""
    if "enum" in schema:
        return ", ".join(f"`{choice}`" for choice in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "anyOf" in schema:
        return ", ".join(dict.fromkeys(_value(part) for part in schema["anyOf"]))
    if schema.get("format") == "path":
        return "path"
    if schema.get("type") == "array":
        return f"list of: {_value(schema['items'])}"
    if schema.get("type") == "object":
        return "names and values"
    bounds = [f"{sign} {schema[name]:g}" for name, sign in _BOUNDS.items() if name in schema]
    return " ".join([_PLAIN[schema["type"]], " and ".join(bounds)]).strip()


if __name__ == "__main__":
    write_whole(sys.argv[1], reference().rstrip().encode() + b"\n")
