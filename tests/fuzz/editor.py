"""A file under damage: its bytes, and finding and overwriting what its directories say."""

import functools
import random
import struct

from . import jpeg
from .tiff import BYTES_OF_TYPE, JPEG_TABLES, STRIP_LENGTHS, STRIP_OFFSETS, TILE_LENGTHS, TILE_OFFSETS, Entry, Walk

_CODES = {1: "B", 3: "H", 4: "I", 16: "Q"}


class NotApplicable(ValueError):
    """This damage cannot be done to this file."""


class Editor:
    """`walk` describes the sound file: changes keep every place, except those that `insert` or `delete` bytes."""

    def __init__(self, data: bytes, rng: random.Random):
        self.sound = data
        self.data = bytearray(data)
        self.rng = rng

    @functools.cached_property
    def walk(self) -> Walk:
        try:
            return _walk(self.sound)
        except ValueError as error:
            raise NotApplicable from error

    def pack(self, code: str, place: int, number: int) -> None:
        """Writes a number in the file's byte order, cut to what fits."""
        number &= (1 << 8 * struct.calcsize("=" + code)) - 1
        struct.pack_into(self.walk.order + code, self.data, place, number)

    def directory(self):
        return self.choose(self.walk.directories)

    def entry(self, tag: int | None = None) -> Entry:
        """Any entry, or that of a tag in any directory that has it."""
        entries = [entry for directory in self.walk.directories for entry in directory.entries]
        return self.choose([entry for entry in entries if tag is None or entry.tag == tag])

    def choose(self, options):
        options = list(options)
        if not options:
            raise NotApplicable
        return self.rng.choice(options)

    def numbers(self, entry: Entry) -> list[int]:
        code = self._code(entry)
        return list(struct.unpack_from(f"{self.walk.order}{entry.count}{code}", self.data, entry.values))

    def set_number(self, entry: Entry, index: int, number: int) -> None:
        code = self._code(entry)
        self.pack(code, entry.values + index * BYTES_OF_TYPE[entry.kind], number)

    def set_count(self, entry: Entry, count: int) -> None:
        self.pack(self.walk.word, entry.position + 4, count)

    def set_values(self, entry: Entry, values: bytes, count: int) -> None:
        """Moves the values to the end of the file."""
        self.set_count(entry, count)
        self.pack(self.walk.word, entry.position + 4 + self.walk.word_bytes, len(self.data))
        self.data += values

    def chunks(self) -> tuple[Entry, Entry]:
        """The offsets and lengths of the tiles (or strips) of any directory."""
        pairs = []
        for directory in self.walk.directories:
            for offsets, lengths in ((TILE_OFFSETS, TILE_LENGTHS), (STRIP_OFFSETS, STRIP_LENGTHS)):
                pair = directory.find(offsets), directory.find(lengths)
                if None not in pair:
                    pairs += [pair] * (4 if offsets == TILE_OFFSETS else 1)
        return self.choose(pairs)

    def chunk(self) -> tuple[int, int, Entry, Entry, int]:
        """Any tile: begin, end, the entries of offsets and lengths, its index."""
        offsets, lengths = self.chunks()
        begins, sizes = self.numbers(offsets), self.numbers(lengths)
        index = self.rng.randrange(min(len(begins), len(sizes)))
        return begins[index], begins[index] + sizes[index], offsets, lengths, index

    def replace_chunk(self, stream: bytes) -> None:
        """Puts another stream in a tile's place, at the end of the file."""
        *_, offsets, lengths, index = self.chunk()
        self.set_number(offsets, index, len(self.data))
        self.set_number(lengths, index, len(stream))
        self.data += stream

    def stream(self) -> tuple[int, int]:
        """Where any JPEG stream lies: a tile's, or now and then the shared tables."""
        tables = [entry for d in self.walk.directories for entry in d.entries if entry.tag == JPEG_TABLES]
        if tables and self.rng.random() < 0.4:
            entry = self.rng.choice(tables)
            return entry.values, entry.values + entry.count
        begin, end, *_ = self.chunk()
        if self.data[begin : begin + 2] != jpeg.SOI:
            raise NotApplicable
        return begin, end

    def segment(self, *markers: int) -> jpeg.Segment:
        """Any segment with one of these markers (any marker without them), of any stream that has one."""
        for _ in range(8):
            begin, end = self.stream()
            found = [s for s in jpeg.segments(self.data, begin, end) if not markers or s.marker in markers]
            if found:
                return self.rng.choice(found)
        raise NotApplicable

    def _code(self, entry: Entry) -> str:
        if entry.kind not in _CODES or entry.count < 1:
            raise NotApplicable
        return _CODES[entry.kind]


@functools.lru_cache(maxsize=64)
def _walk(data: bytes) -> Walk:
    """The same seeds come again and again."""
    return Walk(data)
