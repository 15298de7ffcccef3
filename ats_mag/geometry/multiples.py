"""Division of lengths into whole parts, the last of which may be filled up."""

from __future__ import annotations


def ceil_div(length: int, part: int) -> int:
    """How many parts it takes to cover a length; also of arrays and tensors of integers."""
    return -(-length // part)


def round_up(length: int, multiple: int) -> int:
    """The least multiple that is no shorter than a length; also of arrays and tensors of integers."""
    return ceil_div(length, multiple) * multiple
