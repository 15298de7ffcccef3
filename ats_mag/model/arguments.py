"""Checks of the arguments of models."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import SupportsIndex

import keras


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


def check_magnifications(magnifications: tuple[float | str, ...]) -> None:
    """Refuses none, or the same resolution twice."""
    if not magnifications or len(set(magnifications)) < len(magnifications):
        raise ValueError(f"magnifications must be one or more different resolutions. Received: {magnifications!r}")


def stride_of(attention: keras.Model, n_magnifications: int) -> int:
    """Overview pixels per cell of an attention network `(B, h, w, 3)` -> `(B, h/s, w/s, M)`."""
    side = 1024
    shape = attention.compute_output_shape((1, side, side, 3))
    if len(shape) != 4 or shape[3] != n_magnifications or shape[1] != shape[2] or not shape[1] or side % shape[1]:
        raise ValueError(
            f"the attention network must be fully convolutional, (B, h, w, 3) -> (B, h/s, w/s, {n_magnifications}), with "
            f"padding='same' and a stride s that divides {side}. Received: a network that maps (1, {side}, {side}, 3) to "
            f"{tuple(shape)}"
        )
    return side // shape[1]


def dimension_of(feature: keras.Model, patch_size: int) -> int:
    """D of a feature network `(B, P, P, 3)` -> `(B, D)`."""
    shape = feature.compute_output_shape((1, patch_size, patch_size, 3))
    if len(shape) != 2:
        raise ValueError(
            f"the feature network must map (B, {patch_size}, {patch_size}, 3) to (B, D); a network of keras.applications "
            f"does with include_top=False, pooling='avg'. Received: one that gives {tuple(shape)}"
        )
    return shape[1]
