"""Files that end a process through OpenSlide 4.0, each the least that does it: what must be refused before it reads."""

import random
import struct

from .editor import Editor
from .seeds import made_seeds
from .tiff import LONG, LONG8, TILE_LENGTHS, Entry

_WIDTH, _TILE_WIDTH, _TILE_HEIGHT = 256, 322, 323


def hostile_files() -> dict[str, bytes]:
    """Name -> file."""
    return {
        "division-by-zero": _division_by_zero(),
        "huge-tile": _huge_tile(),
        "huge-tile-length": _huge_tile_length(),
    }


def _division_by_zero() -> bytes:
    """Aperio: a missing tile in a level of less than half as many tiles across as the next, which OpenSlide divides."""
    editor, first, *_, last = _open("aperio-ycbcr")
    editor.set_number(first.find(TILE_LENGTHS), 0, 0)
    editor.set_number(last.find(_WIDTH), 0, 3 * 96)
    return bytes(editor.data)


def _huge_tile() -> bytes:
    """A tile of 17 GB, which OpenSlide allocates or else aborts."""
    editor, _, last = _open("ycbcr")
    for tag in (_TILE_WIDTH, _TILE_HEIGHT):
        entry = last.find(tag)
        editor.pack("H", entry.position + 2, LONG)
        editor.set_number(Entry(entry.position, tag, LONG, 1, entry.values), 0, 65504)
    return bytes(editor.data)


def _huge_tile_length() -> bytes:
    """Tiles of a stored length of 1 TB in a file of 55 kB, for which OpenSlide allocates that much or else aborts."""
    editor, first, _ = _open("ycbcr-big")
    entry = first.find(TILE_LENGTHS)
    editor.pack("H", entry.position + 2, LONG8)
    editor.set_values(entry, struct.pack(f"<{entry.count}Q", *[1 << 40] * entry.count), entry.count)
    return bytes(editor.data)


def _open(seed: str):
    editor = Editor(made_seeds()[seed], random.Random(0))
    return editor, *editor.walk.directories
