"""TIFF and BigTIFF in both byte orders, as little of it as making and damaging small slides needs."""

import dataclasses
import struct
from collections.abc import Sequence

BYTES_OF_TYPE = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_CODES = {1: "B", 2: "B", 7: "B", 3: "H", 4: "I", 16: "Q"}
ASCII, SHORT, LONG, RATIONAL, UNDEFINED, LONG8 = 2, 3, 4, 5, 7, 16

TILE_OFFSETS, TILE_LENGTHS, JPEG_TABLES = 324, 325, 347
STRIP_OFFSETS, STRIP_LENGTHS = 273, 279


@dataclasses.dataclass
class Image:
    """A directory to write: tags as {number: (type, values)}, and what its tiles or strips hold."""

    tags: dict[int, tuple[int, Sequence[int] | bytes]]
    chunks: list[bytes]
    stripped: bool = False


def write(images: Sequence[Image], order: str = "<", big: bool = False) -> bytes:
    """The file, with every directory behind its pixels. `order` is "<" or ">"."""
    long, entry_count = (LONG8, "Q") if big else (LONG, "H")
    word = "Q" if big else "I"
    file = bytearray(b"II" if order == "<" else b"MM")
    file += struct.pack(order + "HHHQ", 43, 8, 0, 0) if big else struct.pack(order + "HI", 42, 0)
    link = len(file) - struct.calcsize(order + word)
    for image in images:
        offsets = []
        for chunk in image.chunks:
            offsets.append(len(file))
            file += chunk + b"\0" * (len(chunk) % 2)
        at, lengths = (STRIP_OFFSETS, STRIP_LENGTHS) if image.stripped else (TILE_OFFSETS, TILE_LENGTHS)
        tags = image.tags | {at: (long, offsets), lengths: (LONG, [len(chunk) for chunk in image.chunks])}
        entries = bytearray()
        for tag in sorted(tags):
            kind, values = tags[tag]
            if kind == RATIONAL:
                raw, count = struct.pack(f"{order}{len(values)}I", *values), len(values) // 2
            else:
                raw, count = struct.pack(f"{order}{len(values)}{_CODES[kind]}", *values), len(values)
            room = struct.calcsize(order + word)
            if len(raw) > room:
                place = len(file)
                file += raw + b"\0" * (len(raw) % 2)
                raw = struct.pack(order + word, place)
            entries += struct.pack(order + "HH" + word, tag, kind, count) + raw.ljust(room, b"\0")
        struct.pack_into(order + word, file, link, len(file))
        file += struct.pack(order + entry_count, len(tags)) + entries
        link = len(file)
        file += struct.pack(order + word, 0)
    return bytes(file)


@dataclasses.dataclass
class Entry:
    """One tag of a directory. `position` is its own place in the file, `values` that of its values."""

    position: int
    tag: int
    kind: int
    count: int
    values: int


@dataclasses.dataclass
class Directory:
    """`position` is that of the number of entries, `link` that of the next directory's place."""

    position: int
    entries: list[Entry]
    link: int

    def find(self, tag: int) -> Entry | None:
        return next((entry for entry in self.entries if entry.tag == tag), None)


class Walk:
    """The directories of a sound file. Raises ValueError for anything else."""

    def __init__(self, data: bytes | bytearray):
        try:
            self._read(data)
        except (struct.error, KeyError, OverflowError) as error:
            raise ValueError("no sound TIFF file") from error

    def _read(self, data: bytes | bytearray) -> None:
        self.order = {b"II": "<", b"MM": ">"}[bytes(data[:2])]
        version = struct.unpack_from(self.order + "H", data, 2)[0]
        if version not in (42, 43):
            raise ValueError("no sound TIFF file")
        self.big = version == 43
        self.word = "Q" if self.big else "I"  # what offsets are stored as
        self.word_bytes = 8 if self.big else 4
        self.count_code = "Q" if self.big else "H"
        self.entry_bytes = 20 if self.big else 12
        self.first_link = 8 if self.big else 4
        self.directories: list[Directory] = []
        link = self.first_link
        while True:
            position = struct.unpack_from(self.order + self.word, data, link)[0]
            if position == 0:
                return
            if len(self.directories) > 100:
                raise ValueError("no sound TIFF file")
            count = struct.unpack_from(self.order + self.count_code, data, position)[0]
            begin = position + struct.calcsize("=" + self.count_code)
            if count > 1000:
                raise ValueError("no sound TIFF file")
            entries = [self._entry(data, begin + i * self.entry_bytes) for i in range(count)]
            link = begin + count * self.entry_bytes
            self.directories.append(Directory(position, entries, link))

    def _entry(self, data: bytes | bytearray, position: int) -> Entry:
        tag, kind, count = struct.unpack_from(f"{self.order}HH{self.word}", data, position)
        values = position + 4 + self.word_bytes
        if BYTES_OF_TYPE[kind] * count > self.word_bytes:
            values = struct.unpack_from(self.order + self.word, data, values)[0]
        return Entry(position, tag, kind, count, values)
