"""A configuration while it is planned: what is given stays, what is chosen has a reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from ats_mag.config.changes import default_of
from ats_mag.config.reading import ConfigError, problem
from ats_mag.config.schema import RunConfig, Section

GIVEN = "Given, and kept."


class Draft:
    """Values by key, such as `model.stride`.

    Args:
        given: what must stay, see `given_keys`.

    Attributes:
        reasons: why each key that is given or chosen has its value.
    """

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = dict(given)
        self._chosen: dict[str, Any] = {}
        self.reasons = dict.fromkeys(given, GIVEN)

    def __getitem__(self, key: str) -> Any:
        """What is given, else chosen, else the default."""
        for values in (self._given, self._chosen):
            if key in values:
                return values[key]
        return default_of(key)

    def is_given(self, key: str) -> bool:
        """Whether the user gave it."""
        return key in self._given

    def choose(self, key: str, value: Any, reason: str) -> None:
        """Sets a key that is not given."""
        if key not in self._given:
            self._chosen[key] = value
            self.reasons[key] = reason

    def config(self) -> RunConfig:
        """The whole configuration."""
        return RunConfig.model_validate(nested({**self._chosen, **self._given}))


def given_keys(known: Mapping[str, Any]) -> dict[str, Any]:
    """What a user gives, checked, by key such as `model.stride`.

    Args:
        known: sections as dictionaries, or keys with dots.

    Raises:
        ConfigError: an unknown key or a wrong value.
    """
    try:
        config = RunConfig.model_validate(nested(known))
    except ValidationError as error:
        raise ConfigError("\n".join(problem(e) for e in error.errors())) from error
    return dict(_set_keys(config, ""))


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Keys with dots as sections.

    Raises:
        ConfigError: a key stands both as a section and as a value.
    """
    found: dict[str, Any] = {}
    for key, value in values.items():
        *sections, name = str(key).split(".")
        inner = found
        for section in sections:
            inner = inner.setdefault(section, {})
            if not isinstance(inner, dict):
                raise ConfigError(f"{section!r} of {key!r} is given as a value, too: give one of them")
        both = isinstance(value, Mapping) and isinstance(inner.get(name), dict)
        inner[name] = {**inner[name], **value} if both else dict(value) if isinstance(value, Mapping) else value
    return found


def _set_keys(section: Section, name: str) -> Iterator[tuple[str, Any]]:
    for key in section.model_fields_set:
        value = getattr(section, key)
        full = f"{name}.{key}" if name else key
        if isinstance(value, Section):
            yield from _set_keys(value, full)
        else:
            yield full, value
