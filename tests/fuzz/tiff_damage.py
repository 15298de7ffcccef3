"""Damage to bytes, headers, directories and tile tables."""

from collections.abc import Callable

from .editor import Editor, NotApplicable
from .tiff import BYTES_OF_TYPE, Entry

_WIDTH, _HEIGHT, _TILE_WIDTH, _TILE_HEIGHT, _DESCRIPTION = 256, 257, 322, 323, 270
# How the pixels are stored: bits, compression, photometric, orientation, samples, planes, predictor, subsampling...
_STORAGE = (258, 259, 262, 266, 274, 277, 284, 296, 317, 338, 339, 530, 532)

KINDS: dict[str, Callable[[Editor], None]] = {}


def damage(function: Callable[[Editor], None]) -> Callable[[Editor], None]:
    KINDS[function.__name__] = function
    return function


def extreme(e: Editor) -> int:
    """A number at some limit; negative ones and those too large are cut to fit where they go."""
    size = len(e.data)
    edges = (0, 1 << 8, 1 << 15, 1 << 16, 1 << 31, 1 << 32, 1 << 63, 1 << 64, size)
    if e.rng.random() < 0.2:
        return e.rng.getrandbits(e.rng.choice((4, 8, 16, 32, 64)))
    return e.rng.choice(edges) + e.rng.randint(-2, 2)


def _need(e: Editor, count: int) -> None:
    if len(e.data) < count:
        raise NotApplicable


@damage
def flip_bits(e: Editor) -> None:
    _need(e, 1)
    for _ in range(e.rng.randint(1, 8)):
        e.data[e.rng.randrange(len(e.data))] ^= 1 << e.rng.randrange(8)


@damage
def random_bytes(e: Editor) -> None:
    _need(e, 1)
    for _ in range(e.rng.randint(1, 32)):
        e.data[e.rng.randrange(len(e.data))] = e.rng.randrange(256)


@damage
def overwrite_run(e: Editor) -> None:
    _need(e, 16)
    length = e.rng.randint(1, min(len(e.data), 512))
    begin = e.rng.randrange(len(e.data) - length + 1)
    fill = e.rng.choice((b"\0", b"\xff", None))
    e.data[begin : begin + length] = fill * length if fill else e.rng.randbytes(length)


@damage
def delete_run(e: Editor) -> None:
    _need(e, 16)
    begin = e.rng.randrange(len(e.data))
    del e.data[begin : begin + e.rng.randint(1, 64)]


@damage
def insert_run(e: Editor) -> None:
    begin = e.rng.randrange(len(e.data) + 1)
    e.data[begin:begin] = e.rng.randbytes(e.rng.randint(1, 64))


@damage
def copy_run(e: Editor) -> None:
    _need(e, 16)
    length = e.rng.randint(4, min(len(e.data), 256))
    source, target = (e.rng.randrange(len(e.data) - length + 1) for _ in range(2))
    e.data[target : target + length] = e.data[source : source + length]


@damage
def truncate(e: Editor) -> None:
    _need(e, 2)
    near_end = e.rng.random() < 0.3
    del e.data[len(e.data) - e.rng.randint(1, 64) if near_end else e.rng.randrange(1, len(e.data)) :]


@damage
def magic(e: Editor) -> None:
    _need(e, 8)
    e.data[:2] = e.rng.choice((b"II", b"MM", b"IM", b"\0\0", b"BM"))


@damage
def version(e: Editor) -> None:
    e.pack("H", 2, e.rng.choice((0, 41, 42, 43, 44, 85, 0xFFFF)))


@damage
def offset_size(e: Editor) -> None:
    if not e.walk.big:
        raise NotApplicable
    e.pack("H", e.rng.choice((4, 6)), e.rng.choice((0, 4, 8, 16, 0xFFFF)))


@damage
def first_directory(e: Editor) -> None:
    e.pack(e.walk.word, e.walk.first_link, extreme(e))


@damage
def next_directory(e: Editor) -> None:
    e.pack(e.walk.word, e.directory().link, extreme(e))


@damage
def directory_loop(e: Editor) -> None:
    e.pack(e.walk.word, e.walk.directories[-1].link, e.directory().position)


@damage
def self_link(e: Editor) -> None:
    directory = e.directory()
    e.pack(e.walk.word, directory.link, directory.position)


@damage
def skip_directory(e: Editor) -> None:
    """Links past the next, or back in another order."""
    e.pack(e.walk.word, e.directory().link, e.directory().position)


@damage
def entry_count(e: Editor) -> None:
    directory = e.directory()
    count = len(directory.entries)
    e.pack(e.walk.count_code, directory.position, e.rng.choice((0, 1, count - 1, count + 1, 4097, extreme(e))))


@damage
def delete_tag(e: Editor) -> None:
    directory = e.directory()
    index = e.rng.randrange(len(directory.entries))
    begin, end = directory.entries[index].position, directory.link + e.walk.word_bytes
    following = begin + e.walk.entry_bytes
    e.data[begin : begin + end - following] = e.data[following:end]  # the link moves with the entries behind it
    e.pack(e.walk.count_code, directory.position, len(directory.entries) - 1)


@damage
def duplicate_tag(e: Editor) -> None:
    directory = e.directory()
    index = e.rng.randrange(len(directory.entries))
    source = directory.entries[index].position
    target = e.choose(directory.entries).position
    e.data[target : target + e.walk.entry_bytes] = e.data[source : source + e.walk.entry_bytes]


@damage
def swap_tags(e: Editor) -> None:
    """Directories must be sorted."""
    first, second = (e.choose(e.directory().entries).position for _ in range(2))
    size = e.walk.entry_bytes
    one, other = e.data[first : first + size], e.data[second : second + size]
    e.data[first : first + size], e.data[second : second + size] = other, one


@damage
def rename_tag(e: Editor) -> None:
    tags = [entry.tag for directory in e.walk.directories for entry in directory.entries]
    e.pack("H", e.entry().position, e.rng.choice((*tags, *_STORAGE, 330, 34665, 65420, e.rng.getrandbits(16))))


@damage
def value_type(e: Editor) -> None:
    e.pack("H", e.entry().position + 2, e.rng.choice((*range(20), 0xFFFF)))


@damage
def value_count(e: Editor) -> None:
    entry = e.entry()
    e.set_count(entry, e.rng.choice((0, 1, 2, entry.count - 1, entry.count + 1, entry.count * 2, extreme(e))))


@damage
def value_place(e: Editor) -> None:
    e.pack(e.walk.word, e.entry().position + 4 + e.walk.word_bytes, extreme(e))


@damage
def any_value(e: Editor) -> None:
    entry = e.entry()
    e.set_number(entry, e.rng.randrange(max(1, entry.count)), extreme(e))


@damage
def image_size(e: Editor) -> None:
    _resize(e, _WIDTH, _HEIGHT)


@damage
def tile_size(e: Editor) -> None:
    _resize(e, _TILE_WIDTH, _TILE_HEIGHT)


def _resize(e: Editor, *tags: int) -> None:
    chosen = tags if e.rng.random() < 0.3 else (e.rng.choice(tags),)
    for tag in chosen:
        entry = e.entry(tag)
        now = e.numbers(entry)[0]
        near = (now - 1, now + 1, now // 2, now * 2, now * 3, now * 16, now * 1000, 15, 16, 17, 24, 4096, 65500, 100000)
        wide = BYTES_OF_TYPE[entry.kind] < 4
        if wide and e.rng.random() < 0.7:  # a LONG in place of a SHORT, so that larger sizes can be stated
            e.pack("H", entry.position + 2, 4)
            entry = Entry(entry.position, entry.tag, 4, 1, entry.position + 4 + e.walk.word_bytes)
        e.set_number(entry, 0, e.rng.choice(near) if e.rng.random() < 0.7 else extreme(e))


@damage
def storage(e: Editor) -> None:
    entry = e.entry(e.rng.choice(_STORAGE))
    common = (*range(9), 12, 16, 32, 64, 32773, 33003, 33005, 34712, 50000, extreme(e))
    e.set_number(entry, e.rng.randrange(entry.count), e.rng.choice(common))


@damage
def resolution(e: Editor) -> None:
    entry = e.entry(e.rng.choice((282, 283)))
    for half in (0, 4):
        e.pack("I", entry.values + half, e.rng.choice((0, 1, 72, 0xFFFFFFFF, e.rng.getrandbits(32))))


@damage
def description(e: Editor) -> None:
    """Texts from which vendor, resolution and bounds are taken."""
    entry = e.entry(_DESCRIPTION)
    text = bytes(e.data[entry.values : entry.values + entry.count])
    odd = (b"1e309", b"-0.5", b"nan", b"0", b"", b"0,499", b"9" * 400, b"\xff\xfe", b"%s%n", b"0.499\0junk")
    changed = e.choose(
        (
            text.replace(b"0.4990", e.rng.choice(odd)),
            text.replace(b"20", e.rng.choice(odd)),
            text.replace(b"|", e.rng.choice((b"||", b"|=|", b"=", b"\0"))),
            text.rstrip(b"\0"),
            text + e.rng.randbytes(40),
            text * 500,
            text.replace(b"Aperio", e.rng.choice((b"Hamamatsu", b"<?xml version='1.0'?><OME/>", b"Trestle"))),
        )
    )
    e.set_values(entry, changed, len(changed))


@damage
def swap_tiles(e: Editor) -> None:
    for entry in e.chunks():
        numbers = e.numbers(entry)
        if len(numbers) < 2:
            raise NotApplicable
        for index, number in enumerate(reversed(numbers)):
            e.set_number(entry, index, number)
        if e.rng.random() < 0.5:  # only the offsets, so that tiles get each other's lengths
            break


@damage
def overlap_tiles(e: Editor) -> None:
    offsets, _ = e.chunks()
    numbers = e.numbers(offsets)
    for index in range(e.rng.randrange(len(numbers)), len(numbers)):
        e.set_number(offsets, index, numbers[0] + e.rng.choice((0, 0, 1, 2, 40)))


@damage
def tile_offset(e: Editor) -> None:
    *_, offsets, _, index = e.chunk()
    e.set_number(offsets, index, extreme(e))


@damage
def tile_length(e: Editor) -> None:
    begin, end, _, lengths, index = e.chunk()
    size = end - begin
    changed = (0, 1, 2, 3, size - 1, size - 2, size // 2, size + 1, size * 2, 1 << 24, 1 << 30, extreme(e))
    e.set_number(lengths, index, e.rng.choice(changed))


@damage
def all_tile_lengths(e: Editor) -> None:
    _, lengths = e.chunks()
    size = extreme(e)
    for index in range(lengths.count):
        e.set_number(lengths, index, size)


@damage
def tiles_at_file_end(e: Editor) -> None:
    """The last tile ends with the file, then the file ends in it."""
    begin, end, offsets, _, index = e.chunk()
    stream = e.data[begin:end]
    e.set_number(offsets, index, len(e.data))
    e.data += stream[: e.rng.randint(0, len(stream))]
