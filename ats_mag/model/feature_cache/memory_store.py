"""Vectors in memory, of which the least recently used give way."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np

KEY_BYTES = 16
_OVERHEAD = 220  # bytes of an entry in a dictionary of Python: its key, number and links


class MemoryStore:
    """Vectors by key, within a bound.

    Args:
        dimension: of the vectors, float32.
        max_bytes: that all of it may take, the keys' share included.
    """

    def __init__(self, dimension: int, max_bytes: int) -> None:
        self.slots = max_bytes // (4 * dimension + _OVERHEAD)
        self._vectors = np.empty((self.slots, dimension), np.float32)  # takes memory only where it was written to
        self._slot_of: OrderedDict[bytes, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._slot_of)

    @property
    def bytes_used(self) -> int:
        """Of the vectors and their keys."""
        return len(self) * (4 * self._vectors.shape[1] + _OVERHEAD)

    def get(self, key: bytes) -> np.ndarray | None:
        """The vector, or None."""
        slot = self._slot_of.get(key)
        if slot is None:
            return None
        self._slot_of.move_to_end(key)
        return self._vectors[slot]

    def put(self, key: bytes, vector: np.ndarray) -> tuple[bytes, np.ndarray] | None:
        """Keeps a vector; what had to give way for it, or could not be kept at all. None: nothing."""
        if not self.slots:
            return key, vector
        removed, slot = None, self._slot_of.get(key, len(self._slot_of))
        if slot == self.slots:
            old, slot = self._slot_of.popitem(last=False)
            removed = old, self._vectors[slot].copy()
        self._vectors[slot] = vector
        self._slot_of[key] = slot
        self._slot_of.move_to_end(key)
        return removed

    def items(self) -> list[tuple[bytes, np.ndarray]]:
        """All of it, the least recently used first."""
        return [(key, self._vectors[slot]) for key, slot in self._slot_of.items()]
