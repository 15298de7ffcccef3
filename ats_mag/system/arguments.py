"""Checks of arguments that several rooms have in common."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import SupportsFloat, SupportsIndex


def choice(name: str, value: str, allowed: Iterable[str]) -> str:
    """`value`, which must be one of `allowed`."""
    allowed = list(allowed)
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}. Received: {name}={value!r}")
    return value


def as_integer(value: object) -> int | None:
    """`value` as an `int`, where it is an integer, of Python or NumPy; else None."""
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        return None
    try:
        return operator.index(value)
    except TypeError:  # NumPy's arrays and its bool only seem to be integers
        return None


def whole(name: str, value: int, least: int) -> int:
    """`value` as an `int`, which must be an integer of at least `least`."""
    number = as_integer(value)
    if number is None or number < least:
        raise ValueError(f"{name} must be an integer of at least {least}. Received: {name}={value!r}")
    return number


def positive(name: str, value: int) -> int:
    """`value` as an `int`, which must be a positive integer."""
    return whole(name, value, 1)


def number(name: str, value: float) -> float:
    """`value` as a `float`, which must be a real number, of Python or NumPy."""
    if isinstance(value, bool) or not isinstance(value, SupportsFloat) or isinstance(value, str):
        raise ValueError(f"{name} must be a number. Received: {name}={value!r}")
    return float(value)
