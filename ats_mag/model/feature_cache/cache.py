"""The cache of what an encoder said, by slide, place, magnification and turn."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Mapping
from typing import NamedTuple

import keras
import numpy as np

from ats_mag.model.encoders.adapted_encoder import AdaptedEncoder
from ats_mag.model.encoders.pretrained import PretrainedEncoder
from ats_mag.model.feature_cache.file_store import FileStore
from ats_mag.model.feature_cache.memory_store import KEY_BYTES, MemoryStore
from ats_mag.model.network import SlideNetwork


class CacheCounts(NamedTuple):
    """What a cache was asked for.

    Attributes:
        asked: patches.
        found: of them, those that were there.
        seconds: that reading and encoding the others took, as far as nothing else was done meanwhile.
    """

    asked: int = 0
    found: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """The share that was found."""
        return self.found / max(self.asked, 1)

    @property
    def seconds_saved(self) -> float:
        """What reading and encoding those found would have taken, by what the others took."""
        missed = self.asked - self.found
        return self.seconds / missed * self.found if missed else 0.0

    def since(self, before: CacheCounts) -> CacheCounts:
        """What came after `before`."""
        return CacheCounts(self.asked - before.asked, self.found - before.found, self.seconds - before.seconds)


class FeatureCache:
    """Keeps what a model's frozen encoder said of patches, float32 as it was, for `SlideClassifier.feature_cache`.

    Memory is filled first; what has to give way there goes to the file, where there is one. Only on TensorFlow. Patches whose
    colours are changed pass by the cache.

    Args:
        model: with a frozen encoder.
        max_bytes: of memory.
        file: that takes what memory does not hold, and is read by the next cache of the same encoder and file. None: there is none.
        file_max_bytes: of the file.
        slides: names of slides that stay when their files are moved or copied, such as fingerprints, by path. Others are known by
            path, size and time of the last change.
        sources: paths of the slides, by those of their local copies.

    Raises:
        ValueError: the model has no frozen encoder.
    """

    def __init__(
        self,
        model: SlideNetwork,
        max_bytes: int,
        file: str | os.PathLike[str] | None = None,
        file_max_bytes: int = 0,
        slides: Mapping[str, str] | None = None,
        sources: Mapping[str, str] | None = None,
    ) -> None:
        if not isinstance(model.feature, AdaptedEncoder) or not model.feature.frozen:
            raise ValueError("a cache of features needs a model whose feature network is an AdaptedEncoder, frozen")
        self.dimension = model.feature.encoded_dimension
        self._memory = MemoryStore(self.dimension, max_bytes)
        self._file = None if file is None else FileStore(file, self.dimension, file_max_bytes)
        self._identity = identity_of(model)
        self._mpp = np.array(
            model.magnifications, np.float64
        )  # in keys, so that models of other magnifications share what they can
        self._slides, self._sources = slides or {}, {} if sources is None else sources
        self._names: dict[str, bytes] = {}
        self._lock = threading.Lock()  # parts of a batch are looked up side by side
        self.counts = CacheCounts()

    def look_up(
        self, path: np.ndarray, cells: np.ndarray, geometry: np.ndarray, turn: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """What is known of patches.

        Args:
            path: `(B, L)` codes of the slides' paths, or `(B,)` strings.
            cells: `(B, N, 3)` of the slides as they lie.
            geometry: `(B, 5)`.
            turn: `(B,)`, of the patches.

        Returns:
            Which are there `(B, N)` bool, their vectors `(B, N, E)` float32, 0 of the others, the keys of all `(B, N, 16)` uint8, and
            the time, for `keep`.
        """
        batch, n = cells.shape[:2]
        found = np.zeros((batch, n), bool)
        vectors = np.zeros((batch, n, self.dimension), np.float32)
        keys = np.zeros((batch, n, KEY_BYTES), np.uint8)
        cells = np.ascontiguousarray(cells, np.int32)
        with self._lock:
            for b in range(batch):
                slide = self._slide(path[b]) + np.asarray(geometry[b], np.int64).tobytes() + bytes([int(turn[b])])
                start = hashlib.blake2b(self._identity + slide, digest_size=KEY_BYTES)
                for i in range(n):
                    of_cell = start.copy()
                    of_cell.update(cells[b, i, :2].tobytes() + self._mpp[cells[b, i, 2]].tobytes())
                    key = of_cell.digest()
                    keys[b, i] = np.frombuffer(key, np.uint8)
                    vector = self._find(key)
                    if vector is not None:
                        found[b, i], vectors[b, i] = True, vector
            self.counts = self.counts._replace(
                asked=self.counts.asked + found.size, found=self.counts.found + int(found.sum())
            )
        return found, vectors, keys, np.asarray(time.monotonic())

    def keep(self, keys: np.ndarray, vectors: np.ndarray, valid: np.ndarray, start: np.ndarray) -> np.ndarray:
        """Keeps vectors `(K, E)` under keys `(K, 16)`, those that are `valid`; `start` is the time of `look_up`. Returns `vectors`."""
        with self._lock:
            for key, vector, sound in zip(keys, vectors, valid, strict=True):
                if sound:
                    self._keep(key.tobytes(), vector)
            if len(keys):
                self.counts = self.counts._replace(seconds=self.counts.seconds + time.monotonic() - float(start))
        return vectors

    @property
    def bytes_used(self) -> int:
        """Of memory."""
        return self._memory.bytes_used

    @property
    def entries_in_file(self) -> int:
        """Patches that the file knows."""
        return 0 if self._file is None else len(self._file)

    def close(self) -> None:
        """Writes what is in memory to the file, as far as it has room, and ends its use."""
        if self._file is not None:
            with self._lock:
                for key, vector in self._memory.items()[-max(self._file.slots, 1) :]:
                    self._file.put(key, vector)
                self._file.close()
                self._file = None

    def _find(self, key: bytes) -> np.ndarray | None:
        vector = self._memory.get(key)
        if vector is None and self._file is not None:
            vector = self._file.get(key)
            if vector is not None:
                self._keep(key, vector)
        return vector

    def _keep(self, key: bytes, vector: np.ndarray) -> None:
        removed = self._memory.put(key, vector)
        if removed is not None and self._file is not None:
            self._file.put(*removed)

    def _slide(self, path: np.ndarray | bytes) -> bytes:
        """What tells a slide from others."""
        raw = path if isinstance(path, bytes) else np.asarray(path).astype(np.uint8).tobytes().rstrip(b"\0")
        name = os.fsdecode(raw)
        name = self._sources.get(name, name)
        if name not in self._names:
            known = self._slides.get(name)
            if known is None:
                state = os.stat(name)
                known = f"{os.path.abspath(name)}\0{state.st_size}\0{state.st_mtime_ns}"
            self._names[name] = known.encode(errors="surrogateescape")
        return self._names[name]


def identity_of(model: SlideNetwork) -> bytes:
    """What else a cell's encoded patch depends on: the encoder with its weights, the lattice's cells, the size of patches, snapping."""
    feature = model.feature
    network = {"name": feature.encoder.name, "dtype": feature.encoder.layers[-1].compute_dtype}
    if isinstance(feature.encoder, PretrainedEncoder):
        about = feature.encoder
        policy = about.network.dtype_policy.name
        network = {"mean": about.mean, "std": about.std, "pool": about.pool, "dtype": policy}
    lattice = [model.lattice.overview_mpp, model.lattice.stride, model.lattice.snap]
    found = hashlib.sha256(json.dumps([lattice, model.patch_size, feature.encoder_size, network]).encode())
    for variable in feature.encoder.variables:
        value = keras.ops.convert_to_numpy(variable)
        found.update(f"{value.shape} {value.dtype}".encode())
        found.update(np.ascontiguousarray(value).view(np.uint8).data if value.ndim else value.tobytes())
    return found.digest()
