"""Where vectors are kept: in memory and in a file, both within a bound."""

import numpy as np

from ats_mag.model.feature_cache.file_store import FileStore
from ats_mag.model.feature_cache.memory_store import MemoryStore


def key(number):
    return number.to_bytes(16, "little")


def vector(number, dimension=5):
    return np.full(dimension, number, "float32")


def test_memory_lets_go_of_what_was_not_used():
    store = MemoryStore(5, 3 * (20 + 220) + 239)
    assert [store.put(key(i), vector(i)) for i in range(3)] == [None] * 3
    np.testing.assert_array_equal(store.get(key(0)), vector(0))
    removed = store.put(key(3), vector(3))
    assert removed[0] == key(1)
    np.testing.assert_array_equal(removed[1], vector(1))
    assert store.get(key(1)) is None
    assert [k for k, _ in store.items()] == [key(2), key(0), key(3)]
    assert len(store) == 3
    assert store.bytes_used == 3 * 240
    assert MemoryStore(5, 100).put(key(0), vector(0))[0] == key(0)


def test_a_file_is_bounded_and_goes_on(tmp_path):
    record = 16 + 8 + 20
    store = FileStore(tmp_path / "f", 5, 4 * record + 43)
    for i in range(5):
        store.put(key(i), vector(i))
    store.close()
    assert (tmp_path / "f").stat().st_size == 4 * record
    store = FileStore(tmp_path / "f", 5, 4 * record)
    assert [i for i in range(5) if key(i) in store] == [2, 3, 4]
    np.testing.assert_array_equal(store.get(key(3)), vector(3))
    store.put(key(9), vector(9))
    assert len(store) == 3
    np.testing.assert_array_equal(store.get(key(9)), vector(9))
    store.close()
    store = FileStore(tmp_path / "f", 5, 2 * record)  # a smaller bound now
    assert len(store) == 1
    store.close()
    assert (tmp_path / "f").stat().st_size == 2 * record


def test_half_written_and_foreign_files(tmp_path):
    store = FileStore(tmp_path / "f", 5, 10**6)
    for i in range(3):
        store.put(key(i), vector(i))
    store.close()
    content = bytearray((tmp_path / "f").read_bytes())
    content[-1] ^= 1
    (tmp_path / "f").write_bytes(content)
    store = FileStore(tmp_path / "f", 5, 10**6)
    assert store.get(key(2)) is None
    np.testing.assert_array_equal(store.get(key(1)), vector(1))
    store.put(key(2), vector(2))
    np.testing.assert_array_equal(store.get(key(2)), vector(2))
    store.close()
    (tmp_path / "f").write_bytes(content[:-30])
    store = FileStore(tmp_path / "f", 5, 10**6)
    assert store.get(key(2)) is None
    store.close()
    for other in (FileStore(tmp_path / "f", 6, 10**6), FileStore(tmp_path / "g", 5, 10)):
        assert len(other) == 0
        other.close()
