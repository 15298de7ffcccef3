"""How objects that hold arrays and tables show themselves: by what they hold, not by all that is in it."""

from __future__ import annotations

from typing import Any

_LONG = 60  # characters of a value


def short_repr(value: Any, fields: dict[str, Any]) -> str:
    """`Name(field=..., ...)` of an object; arrays as shape and dtype, tables as their size."""
    return f"{type(value).__name__}({', '.join(f'{name}={_shown(part)}' for name, part in fields.items())})"


def _shown(part: Any) -> str:
    shape, dtype = getattr(part, "shape", None), getattr(part, "dtype", None)
    if shape is not None and dtype is not None:
        return f"{tuple(shape)} {getattr(dtype, 'name', dtype)}"
    if shape is not None:  # of a table
        return f"{shape[0]} rows of {shape[1]} columns"
    if isinstance(part, dict | list | tuple) and len(repr(part)) > _LONG:
        return f"{len(part)} entries"
    text = repr(part)
    return text if len(text) <= _LONG else f"{type(part).__name__}"


class ShortRepr:
    """A dataclass whose `repr` is short: `@dataclass(repr=False)` of this."""

    def __repr__(self) -> str:
        return short_repr(self, vars(self))
