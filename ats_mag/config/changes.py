"""What differs between two configurations, and whether results are comparable in spite of it."""

from __future__ import annotations

from typing import Any

from ats_mag.config.schema import RunConfig, Section


def is_free(key: str) -> bool:
    """Whether a key such as `train.watch`, or the section that it is in, may change within a run."""
    model: Any = RunConfig
    for part in key.split("."):
        field = model.model_fields.get(part)
        if field is None:
            return False
        if field.json_schema_extra == {"free": True}:
            return True
        model = type(field.get_default(call_default_factory=True))
        if not issubclass(model, Section):
            return False
    return False


def changed_keys(before: Any, now: Any, key: str = "") -> list[str]:
    """Names such as `train.epochs` of what is not free and has another value.

    A key that an earlier release did not have had its default; one that there is no more does not count.

    Args:
        before: a value as JSON, or a section, or all of them.
        now: the same.
        key: name of that value; "": all.
    """
    if is_free(key):
        return []
    default = default_of(key)
    if not isinstance(before, dict) or not isinstance(now, dict) or not isinstance(default, dict):
        return [] if before == now else [key]
    return [
        name
        for part, value in now.items()
        for name in changed_keys(before.get(part, default.get(part)), value, f"{key}.{part}" if key else part)
    ]


def default_of(key: str) -> Any:
    """The default of a key as JSON, of a section a dictionary; None where there is no such key."""
    return value_at(RunConfig().model_dump(mode="json"), key)


def value_at(values: Any, key: str) -> Any:
    """What nested dictionaries hold under a key such as `train.epochs`; None: nothing."""
    for part in key.split(".") if key else ():
        values = values.get(part) if isinstance(values, dict) else None
    return values
