"""Values that are text although YAML may read them as numbers: names of classes and of columns."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator


class SpelledInt(int):
    """A whole number of a YAML file, with the `spelling` that it has there."""

    spelling = ""


class SpelledFloat(float):
    """A number of a YAML file, with the `spelling` that it has there."""

    spelling = ""


def _text(value: object) -> object:
    """Numbers as text; what YAML has made a truth value or another number cannot be told back."""
    if isinstance(value, bool):
        raise ValueError("YAML reads yes, no, on, off, true and false as truth values: write it in quotes")
    if isinstance(value, SpelledInt | SpelledFloat) and str(value) != value.spelling:
        raise ValueError(f"YAML reads {value.spelling} as the number {value!r}: write it in quotes")
    return str(value) if isinstance(value, int | float) else value


Text = Annotated[str, BeforeValidator(_text)]
