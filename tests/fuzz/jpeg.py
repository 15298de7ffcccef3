"""Where the segments of a JPEG stream lie, and streams cut in two as TIFF files store them."""

import dataclasses
from collections.abc import Iterator

SOI, EOI = b"\xff\xd8", b"\xff\xd9"
DHT, SOS, DQT, DRI, APP14, COMMENT = 0xC4, 0xDA, 0xDB, 0xDD, 0xEE, 0xFE
SOF = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}


@dataclasses.dataclass
class Segment:
    """`begin` is the place of its FF, `end` that behind its last byte; the payload starts at `begin + 4`."""

    marker: int
    begin: int
    end: int


def segments(data: bytes | bytearray, begin: int = 0, end: int | None = None) -> Iterator[Segment]:
    """The segments of the stream at `data[begin:end]`, up to and with the first start of scan."""
    end = len(data) if end is None else min(end, len(data))
    if data[begin : begin + 2] != SOI:
        return
    at = begin + 2
    while at + 4 <= end and data[at] == 0xFF:
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        marker = data[at + 1]
        if marker == EOI[1] or length < 2 or at + 2 + length > end:
            return
        yield Segment(marker, at, at + 2 + length)
        if marker == SOS:
            return
        at += 2 + length


def without_tables(stream: bytes) -> tuple[bytes, bytes]:
    """The stream without its tables, and its tables as the tag JPEGTables holds them."""
    tables, rest = bytearray(SOI), bytearray(SOI)
    at = 2
    for segment in segments(stream):
        into = tables if segment.marker in (DHT, DQT) else rest
        into += stream[segment.begin : segment.end]
        at = segment.end
    return bytes(rest + stream[at:]), bytes(tables + EOI)
