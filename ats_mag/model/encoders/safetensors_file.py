"""Reads where the tensors of a safetensors file lie.

The format is a length, a JSON header and the bytes. Reading it here, and not with the package of that name, keeps bfloat16
(which NumPy lacks) and lets each tensor be mapped into memory, and given back, by itself.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from ats_mag.model.encoders.stored_tensor import StoredTensor, WeightsError

_DTYPES = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
_LONGEST_HEADER = 100_000_000  # bytes; the format's own bound


def read_safetensors(path: Path) -> dict[str, StoredTensor]:
    """Finds the tensors of a file; none is read.

    Args:
        path: a `.safetensors` file.

    Returns:
        Each tensor by its name.

    Raises:
        WeightsError: the file is truncated or no safetensors file.
    """
    size = path.stat().st_size
    with open(path, "rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= _LONGEST_HEADER:
            raise _not_one(path)
        if 8 + length > size:
            raise _truncated(path, 8 + length, size)
        try:
            header = json.loads(file.read(length))
            tensors = {
                name: _tensor(path, entry, 8 + length) for name, entry in header.items() if name != "__metadata__"
            }
        except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise _not_one(path) from error
    for name, tensor in tensors.items():
        if tensor.offset + tensor.extent * tensor.dtype.itemsize > size:
            raise _truncated(path, tensor.offset + tensor.extent * tensor.dtype.itemsize, size, name)
    return tensors


def _tensor(path: Path, entry: dict[str, Any], start: int) -> StoredTensor:
    dtype, shape = _DTYPES[entry["dtype"]], tuple(entry["shape"])
    begin, end = entry["data_offsets"]
    if not all(type(number) is int and number >= 0 for number in (*shape, begin, end)):
        raise ValueError("a negative size")
    tensor = StoredTensor(path, dtype, start + begin, shape)
    if end - begin != tensor.extent * dtype.itemsize:
        raise ValueError("sizes that contradict each other")
    return tensor


def _not_one(path: Path) -> WeightsError:
    return WeightsError(
        f"{path} is not a safetensors file, or its header is damaged: copy it from its source again (a file of a few "
        "hundred bytes is often a pointer of Git LFS in place of the weights)"
    )


def _truncated(path: Path, expected: int, size: int, name: str = "its header") -> WeightsError:
    return WeightsError(
        f"{path} is truncated: {name} ends at byte {expected}, but the file has {size} bytes. Copy it from its source again"
    )
