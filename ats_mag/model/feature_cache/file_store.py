"""Vectors in a file of bounded size that the next process can use."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np

from ats_mag.model.feature_cache.memory_store import KEY_BYTES

_CHECK_BYTES = 8
_MAGIC = b"ats_mag features 1"


class FileStore:
    """Vectors by key in records of one size, of which the oldest give way.

    Each record carries a checksum, so that one which was half written when its process was killed is not taken for a vector. A file
    that holds vectors of another size, or no vectors, begins anew.

    Args:
        path: the file; its folder exists.
        dimension: of the vectors, float32.
        max_bytes: of the file.
    """

    def __init__(self, path: str | os.PathLike[str], dimension: int, max_bytes: int) -> None:
        self.path = Path(path)
        self._dimension = dimension
        self._record = KEY_BYTES + _CHECK_BYTES + 4 * dimension
        self.slots = max_bytes // self._record - 1  # the first holds the head
        head = (_MAGIC + b" %d" % dimension).ljust(self._record, b"\0")
        self._file = open(self.path, "r+b" if self.path.exists() else "w+b")  # noqa: SIM115 - closed by close()
        if self._file.read(self._record) != head:
            self._file.truncate(0)
            self._file.seek(0)
            self._file.write(head)
        self._file.flush()
        self._file.truncate(min(os.path.getsize(self.path), self._record * (self.slots + 1)))
        self._slot_of: dict[bytes, int] = {}
        self._keys = self._find_keys()
        self._next = len(self._keys) % self.slots if self.slots > 0 else 0

    def __len__(self) -> int:
        return len(self._slot_of)

    def _find_keys(self) -> list[bytes]:
        """The key of every whole record."""
        self._file.flush()
        count = os.path.getsize(self.path) // self._record - 1
        if count < 1:
            return []
        records = np.memmap(self.path, np.uint8, "r", self._record, (count, self._record))
        keys = [records[i, :KEY_BYTES].tobytes() for i in range(count)]
        self._slot_of = {key: i for i, key in enumerate(keys)}
        return keys

    def __contains__(self, key: bytes) -> bool:
        return key in self._slot_of

    def get(self, key: bytes) -> np.ndarray | None:
        """The vector, or None."""
        slot = self._slot_of.get(key)
        if slot is None:
            return None
        self._file.seek(self._record * (slot + 1))
        record = self._file.read(self._record)
        data = record[KEY_BYTES + _CHECK_BYTES :]
        if len(record) < self._record or record[: KEY_BYTES + _CHECK_BYTES] != key + _check(key, data):
            del self._slot_of[key]
            return None
        return np.frombuffer(data, np.float32)

    def put(self, key: bytes, vector: np.ndarray) -> None:
        """Keeps a vector, in the place of the oldest where there is no room."""
        if self.slots < 1 or key in self._slot_of:
            return
        data = np.ascontiguousarray(vector, np.float32).tobytes()
        slot = self._next
        if slot < len(self._keys):
            if self._slot_of.get(self._keys[slot]) == slot:
                del self._slot_of[self._keys[slot]]
            self._keys[slot] = key
        else:
            self._keys.append(key)
        self._file.seek(self._record * (slot + 1))
        self._file.write(key + _check(key, data) + data)
        self._slot_of[key] = slot
        self._next = (slot + 1) % self.slots

    def close(self) -> None:
        """Ends the use of the file."""
        self._file.close()


def _check(key: bytes, data: bytes) -> bytes:
    return hashlib.blake2b(key + data, digest_size=_CHECK_BYTES).digest()
