"""Seeded damage to TIFF slides, aware of their structure: every kind is a function in one table.

The same file and the same number give the same damaged file, so a case is named by the seed of its run and its index.
"""

import random
import struct
from collections.abc import Callable

from . import jpeg_damage, tiff_damage
from .editor import Editor, NotApplicable

KINDS: dict[str, Callable[[Editor], None]] = tiff_damage.KINDS | jpeg_damage.KINDS


def mutate(data: bytes, number: int | str, kind: str | None = None) -> tuple[str, bytes]:
    """Damages a file.

    Args:
        data: the file; need not be a TIFF.
        number: seed of all choices.
        kind: the damage to do; any that can be done to this file when None.

    Returns:
        The kind of the (first) damage and the damaged file. One in four files is damaged twice.

    Raises:
        NotApplicable: `kind` cannot be done to this file.
    """
    rng = random.Random(f"{number}")
    if kind is not None:
        return kind, _damage(data, kind, rng)
    names = list(KINDS)
    rng.shuffle(names)
    first, damaged = _first_applicable(data, names, rng)
    if rng.random() < 0.25:
        rng.shuffle(names)
        _, twice = _first_applicable(damaged, names, rng)
        damaged = damaged if twice == data else twice  # the second may undo the first
    return first, damaged


def _damage(data: bytes, kind: str, rng: random.Random) -> bytes:
    editor = Editor(data, rng)
    try:
        KINDS[kind](editor)
    except (IndexError, OverflowError, ValueError, struct.error) as error:  # an earlier damage left nothing to damage
        raise NotApplicable from error
    if editor.data == data:
        raise NotApplicable
    return bytes(editor.data)


def _first_applicable(data: bytes, names: list[str], rng: random.Random) -> tuple[str, bytes]:
    for name in names:
        try:
            return name, _damage(data, name, rng)
        except NotApplicable:
            continue
    return "append", data + b"\0"  # an empty file has nothing to damage
