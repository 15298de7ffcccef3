"""Damage to the JPEG streams in tiles, to the tables that they share, and other streams in their place."""

import functools
import io
from collections.abc import Callable

import numpy as np
from PIL import Image as Picture

from . import jpeg
from .editor import Editor, NotApplicable
from .tiff import JPEG_TABLES

KINDS: dict[str, Callable[[Editor], None]] = {}


def damage(function: Callable[[Editor], None]) -> Callable[[Editor], None]:
    KINDS[function.__name__] = function
    return function


@damage
def frame_size(e: Editor) -> None:
    frame = e.segment(*jpeg.SOF)
    for place in e.rng.choice(((5,), (7,), (5, 7))):
        size = e.rng.choice((0, 1, 7, 8, 16, 31, 33, 48, 64, 65, 100, 256, 4096, 65500, 65535))
        e.data[frame.begin + place : frame.begin + place + 2] = size.to_bytes(2, "big")


@damage
def frame_components(e: Editor) -> None:
    frame = e.segment(*jpeg.SOF)
    e.data[frame.begin + 9] = e.rng.choice((0, 1, 2, 4, 5, 10, 255))


@damage
def frame_precision(e: Editor) -> None:
    frame = e.segment(*jpeg.SOF)
    e.data[frame.begin + 4] = e.rng.choice((0, 1, 7, 9, 12, 16, 255))


@damage
def frame_sampling(e: Editor) -> None:
    frame = e.segment(*jpeg.SOF)
    for component in range(3):
        if frame.begin + 12 + 3 * component < frame.end and e.rng.random() < 0.5:
            e.data[frame.begin + 11 + 3 * component] = e.rng.choice((0x11, 0x21, 0x12, 0x22, 0x41, 0x44, 0x31, 0, 0xFF))


@damage
def frame_identifiers(e: Editor) -> None:
    """Names of components (which tell RGB from YCbCr) and the numbers of their tables."""
    frame = e.segment(*jpeg.SOF)
    for component in range(3):
        at = frame.begin + 10 + 3 * component
        if at + 2 < frame.end:
            e.data[at] = e.rng.choice((1, 2, 3, *b"RGB", 0, 255))
            e.data[at + 2] = e.rng.choice((0, 1, 3, 4, 255))


@damage
def frame_type(e: Editor) -> None:
    """Progressive, lossless, arithmetic coding... of data that is none of it."""
    e.data[e.segment(*jpeg.SOF).begin + 1] = e.rng.choice((0xC1, 0xC2, 0xC3, 0xC5, 0xC9, 0xCA, 0xCB, 0xCF, 0xD8, 0x01))


@damage
def huffman_table(e: Editor) -> None:
    _scramble(e, e.segment(jpeg.DHT), 8)


@damage
def huffman_counts(e: Editor) -> None:
    table = e.segment(jpeg.DHT)
    for _ in range(e.rng.randint(1, 3)):
        e.data[table.begin + 5 + e.rng.randrange(16)] = e.rng.choice((0, 1, 2, 16, 255))


@damage
def quantization_table(e: Editor) -> None:
    table = e.segment(jpeg.DQT)
    e.data[table.begin + 4] = e.rng.choice((0, 1, 2, 3, 4, 0x10, 0x13, 0xFF))
    _scramble(e, table, 8)


@damage
def scan_header(e: Editor) -> None:
    _scramble(e, e.segment(jpeg.SOS), 3)


@damage
def any_segment(e: Editor) -> None:
    _scramble(e, e.segment(), 4)


def _scramble(e: Editor, segment: jpeg.Segment, most: int) -> None:
    for _ in range(e.rng.randint(1, most)):
        at = e.rng.randrange(segment.begin + 4, max(segment.begin + 5, segment.end))
        e.data[at] = e.rng.choice((0, 0xFF, e.rng.randrange(256)))


@damage
def segment_length(e: Editor) -> None:
    segment = e.segment()
    length = e.rng.choice((0, 1, 2, 3, segment.end - segment.begin - 3, segment.end - segment.begin - 1, 300, 0xFFFF))
    e.data[segment.begin + 2 : segment.begin + 4] = length.to_bytes(2, "big")


@damage
def drop_segment(e: Editor) -> None:
    """A table that is missing, a frame without a header: the segment becomes a comment."""
    e.data[e.segment().begin + 1] = jpeg.COMMENT


@damage
def change_marker(e: Editor) -> None:
    e.data[e.segment().begin + 1] = e.rng.choice((0x00, 0x01, 0xD0, 0xD8, 0xD9, jpeg.DRI, jpeg.APP14, 0xFF, 0xDC, 0xCC))


@damage
def entropy(e: Editor) -> None:
    """Coded data: noise, early ends, stray markers."""
    begin, end = e.stream()
    found = list(jpeg.segments(e.data, begin, end))
    if not found or found[-1].marker != jpeg.SOS or end - found[-1].end < 4:
        raise NotApplicable
    for _ in range(e.rng.randint(1, 6)):
        at = e.rng.randrange(found[-1].end, end - 2)
        marker = bytes((0xFF, e.rng.choice((0xD0, 0xD9, 0xDA, 0xC4, 0xFF))))
        e.data[at : at + 2] = e.rng.choice((marker, e.rng.randbytes(2), b"\0\0"))


@damage
def insert_segment(e: Editor) -> None:
    """Puts a segment behind the SOI of a tile, which moves to the end of the file."""
    begin, end, *_ = e.chunk()
    stream = bytes(e.data[begin:end])
    if stream[:2] != jpeg.SOI:
        raise NotApplicable
    kind = e.rng.choice((jpeg.DRI, jpeg.APP14, 0xE0, jpeg.COMMENT, 0xDC, jpeg.DHT, 0xC0))
    payload = {
        jpeg.DRI: e.rng.randbytes(2),
        jpeg.APP14: b"Adobe\0d\0\0\0\0" + bytes((e.rng.choice((0, 1, 2, 255)),)),
        0xE0: b"JFIF\0\1\1\0\0\1\0\1\0\0",
    }.get(kind, e.rng.randbytes(e.rng.choice((0, 1, 20, 65533))))
    segment = bytes((0xFF, kind)) + (len(payload) + 2).to_bytes(2, "big") + payload
    e.replace_chunk(stream[:2] + segment + stream[2:])


@damage
def other_stream(e: Editor) -> None:
    """A whole and sound stream, but not what the directory promises."""
    e.replace_chunk(_streams()[e.rng.choice(sorted(_streams()))])


@damage
def odd_stream(e: Editor) -> None:
    small = _streams()["same"]
    cut = small[: e.rng.randrange(len(small))]
    e.replace_chunk(
        e.choose((b"", jpeg.SOI, jpeg.SOI + jpeg.EOI, b"\xff" * 99, cut, small + small, b"\0" + small, small[2:]))
    )


@damage
def shared_tables(e: Editor) -> None:
    """Another stream in place of the tables that all tiles share."""
    entry = e.entry(JPEG_TABLES)
    tables = bytes(e.data[entry.values : entry.values + entry.count])
    changed = e.choose(
        (
            b"",
            jpeg.SOI,
            jpeg.SOI + jpeg.EOI,
            tables[:-2],
            tables[2:],
            tables[: e.rng.randrange(len(tables))],
            tables * 2,
            _streams()["same"],
            _streams()["progressive"],
            e.rng.randbytes(200),
            tables[:-2] + b"\xff\xfe\xff\xff" + b"\0" * 70000,
        )
    )
    e.set_values(entry, changed, len(changed))


@functools.cache
def _streams() -> dict[str, bytes]:
    """Pictures of noise: other modes, other sizes, other ways of coding."""
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)

    def encode(image: np.ndarray, mode: str = "RGB", form: str = "jpeg", **options) -> bytes:
        stream = io.BytesIO()
        Picture.fromarray(image).convert(mode).save(stream, form, **options)
        return stream.getvalue()

    return {
        "same": encode(pixels[:32, :32], optimize=True),
        "progressive": encode(pixels, progressive=True),
        "small-progressive": encode(pixels[:32, :32], progressive=True, subsampling=0),
        "larger": encode(np.tile(pixels, (8, 8, 1))),
        "smaller": encode(pixels[:9, :17]),
        "grey": encode(pixels, "L"),
        "inverted-four": encode(pixels, "CMYK"),
        "full-colour": encode(pixels, subsampling=0),
        "half-colour": encode(pixels, subsampling=1),
        "restarts": encode(pixels, restart_marker_blocks=2),
        "png": encode(pixels, form="png"),
        "jpeg2000": encode(pixels, form="jpeg2000"),
    }
