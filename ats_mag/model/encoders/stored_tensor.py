"""One tensor in a file: where its bytes lie and how they are to be read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np


class WeightsError(ValueError):
    """A file of weights, or a folder with one, that cannot be used."""


@dataclass(frozen=True)
class StoredTensor:
    """A tensor that stays in its file until it is read.

    Attributes:
        path: the file.
        dtype: of the elements, little-endian.
        offset: of the first element, bytes from the file's start.
        shape: of the tensor.
        strides: in elements. None: the elements lie one after the other, the last axis fastest.
    """

    path: Path
    dtype: np.dtype
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...] | None = None

    @property
    def extent(self) -> int:
        """Elements from the first to the last one, both included."""
        if 0 in self.shape:
            return 0
        if self.strides is None:
            return math.prod(self.shape)
        return 1 + sum((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True))

    def read(self) -> np.ndarray:
        """Maps the tensor into memory; its pages are given back with the array.

        Returns:
            A read-only view of the file.
        """
        if self.extent == 0:
            return np.empty(self.shape, self.dtype)
        elements = np.memmap(self.path, self.dtype, mode="r", offset=self.offset, shape=(self.extent,))
        if self.strides is None:
            return elements.reshape(self.shape)
        strides = tuple(stride * self.dtype.itemsize for stride in self.strides)
        return np.lib.stride_tricks.as_strided(elements, self.shape, strides, writeable=False)
