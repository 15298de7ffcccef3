"""JSON as it is written to files: readable, in UTF-8, whatever names it holds."""

from __future__ import annotations

import json


def json_bytes(values: object, indent: int | None = 2, sort_keys: bool = False, allow_nan: bool = True) -> bytes:
    """The text of a JSON file.

    Bytes of names that are no UTF-8, which Python holds as lone surrogates, become escapes; `json.loads` gives them back.

    Args:
        values: what JSON can hold.
        indent, sort_keys, allow_nan: as of `json.dumps`.
    """
    text = json.dumps(values, indent=indent, sort_keys=sort_keys, allow_nan=allow_nan, ensure_ascii=False)
    return text.encode(errors="backslashreplace") + b"\n"
