"""Reads where the tensors of a file written by `torch.save` lie, without torch and without running what the file says.

Such a file is a pickle, and a pickle can call any function. The unpickler here knows the few names that tensors need, and
gives for each of them a function of its own that only notes where a tensor lies; any other name is refused.

Two layouts are read: the zip archive of torch 1.6 and later, and the row of pickles with the raw bytes behind them of before.
"""

from __future__ import annotations

import io
import mmap
import pickle
import pickletools
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

import ml_dtypes
import numpy as np

from ats_mag.model.encoders.stored_tensor import StoredTensor, WeightsError

_DTYPES = {
    "DoubleStorage": np.dtype("<f8"),
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}
_MAGIC = 0x1950A86A20F9469CFC6C  # of the old layout
_PROTOCOL = 1001
_LONGEST_PICKLE = 100_000_000  # bytes; a model of a thousand tensors needs some 100,000
_Pickled = io.BytesIO | mmap.mmap  # neither reads more than there is, whatever length a pickle states
_DAMAGED = (  # what the readers of the standard library raise on bytes that make no sense
    pickle.UnpicklingError,
    EOFError,
    OSError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    RuntimeError,
    ArithmeticError,
    MemoryError,
)
_WRAPPERS = ("state_dict", "model")  # under which training scripts keep the weights


def read_torch_file(path: Path) -> dict[str, StoredTensor]:
    """Finds the tensors of a file; none is read.

    Args:
        path: what `torch.save` wrote of a state dict, e.g. `pytorch_model.bin`.

    Returns:
        Each tensor by its name.

    Raises:
        WeightsError: the file is truncated, holds something else than tensors, or is not one of torch's.
    """
    try:
        content = _read_zip(path) if zipfile.is_zipfile(path) else _read_pickles(path)
    except WeightsError:
        raise
    except _DAMAGED as error:
        raise WeightsError(
            f"{path} is not a file of torch's, or it is truncated or damaged ({error or type(error).__name__}): copy it from "
            "its source again"
        ) from error
    for wrapper in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise WeightsError(f"{path} holds no tensors by name: save the model's `state_dict()`, not the model")
    tensors = {name: value for name, value in content.items() if isinstance(value, _Tensor)}
    size = path.stat().st_size
    return {name: _stored(path, name, tensor, size) for name, tensor in tensors.items()}


@dataclass
class _Storage:
    """A row of elements in the file, which several tensors may share."""

    dtype: np.dtype
    count: int
    start: int | None = None  # bytes from the file's start, known once the file's own list of storages is read


@dataclass
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Dict(dict):
    """Stands for the `OrderedDict` of a state dict, whose attributes are not needed."""

    def __setstate__(self, state: object) -> None:
        pass


@dataclass(frozen=True)
class _Name:
    """What a permitted name of the pickle gives: it can be called, and not changed."""

    call: Callable[..., Any] | None
    dtype: np.dtype | None = None

    def __call__(self, *arguments: Any) -> Any:
        if self.call is None:
            raise pickle.UnpicklingError("the type of a storage is called")
        return self.call(*arguments)

    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError("a name of the library is changed")


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _Tensor:
    numbers = (offset, *shape, *strides)
    if not isinstance(storage, _Storage) or len(shape) != len(strides):
        raise pickle.UnpicklingError("a tensor without a storage")
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise pickle.UnpicklingError("a tensor of a negative size")
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


_PERMITTED = {
    ("collections", "OrderedDict"): _Name(_Dict),
    ("torch._utils", "_rebuild_tensor_v2"): _Name(_tensor),
    ("torch._utils", "_rebuild_parameter"): _Name(lambda tensor, *_: tensor),
    **{("torch", name): _Name(None, dtype) for name, dtype in _DTYPES.items()},
}


@dataclass
class _Reader:
    """The pickles of one file, and the storages that they name."""

    path: Path
    storages: dict[str, _Storage] = field(default_factory=dict)

    def load(self, file: _Pickled) -> Any:
        reader, start = self, file.tell()
        for count, (operation, number, _) in enumerate(pickletools.genops(cast(IO[bytes], file))):
            # The standard library's unpickler makes room for as many values as this number says.
            if operation.name in ("PUT", "LONG_BINPUT") and (number is None or not 0 <= number <= count):
                raise pickle.UnpicklingError("a number that is too large")
        file.seek(start)

        class Restricted(pickle.Unpickler):
            def find_class(self, module: str, name: str) -> Any:
                if (module, name) not in _PERMITTED:
                    raise WeightsError(
                        f"{reader.path} is refused: it asks for {module}.{name}, and a file of weights may hold tensors and "
                        "nothing else. Save the model's `state_dict()` alone, or better a model.safetensors"
                    )
                return _PERMITTED[module, name]

            def persistent_load(self, pid: Any) -> _Storage:
                return reader.storage(pid)

        return Restricted(file, encoding="utf-8").load()

    def storage(self, pid: Any) -> _Storage:
        kind, dtype, key, _, count = pid[:5]
        if kind != "storage" or not isinstance(dtype, _Name) or dtype.dtype is None:
            raise pickle.UnpicklingError("a storage of an unknown kind")
        if type(count) is not int or count < 0:
            raise pickle.UnpicklingError("a storage of a negative length")
        if len(pid) > 5 and pid[5] is not None:
            raise pickle.UnpicklingError("a storage that is a view of another one")
        found = self.storages.setdefault(str(key), _Storage(dtype.dtype, count))
        if (found.dtype, found.count) != (dtype.dtype, count):
            raise pickle.UnpicklingError(f"two kinds of the storage {key}")
        return found


def _read_zip(path: Path) -> Any:
    reader = _Reader(path)
    with zipfile.ZipFile(path) as archive, open(path, "rb") as file:
        entries = {entry.filename.partition("/")[2]: entry for entry in archive.infolist()}
        if "data.pkl" not in entries:
            raise WeightsError(f"{path} is a zip archive, but not one of torch's: it has no data.pkl")
        if "byteorder" in entries and archive.read(entries["byteorder"]) != b"little":
            raise WeightsError(f"{path} was written on a big-endian machine: save it on a little-endian one")
        if entries["data.pkl"].file_size > _LONGEST_PICKLE:
            raise WeightsError(f"{path} is refused: its list of tensors has more than {_LONGEST_PICKLE} bytes")
        content = reader.load(io.BytesIO(archive.read(entries["data.pkl"])))
        for key, storage in reader.storages.items():
            entry = entries[f"data/{key}"]
            if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
                raise WeightsError(f"{path}: its tensors are compressed or encrypted. Save it again with torch.save")
            if entry.file_size < storage.count * storage.dtype.itemsize:
                raise WeightsError(f"{path} is truncated: the storage {key} is shorter than its tensors")
            file.seek(entry.header_offset)
            header = file.read(30)  # its two lengths may differ from those in the archive's directory
            name_length, extra_length = struct.unpack("<HH", header[26:30])
            storage.start = entry.header_offset + 30 + name_length + extra_length
    return content


def _read_pickles(path: Path) -> Any:
    reader = _Reader(path)
    with open(path, "rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as file:
        if reader.load(file) != _MAGIC or reader.load(file) != _PROTOCOL:
            raise pickle.UnpicklingError("the first numbers are not torch's")
        if not reader.load(file)["little_endian"]:
            raise WeightsError(f"{path} was written on a big-endian machine: save it on a little-endian one")
        content = reader.load(file)
        for key in reader.load(file):  # the order in which the storages follow
            storage = reader.storages[str(key)]
            (count,) = struct.unpack("<q", file.read(8))
            if count != storage.count:
                raise pickle.UnpicklingError(f"two lengths of the storage {key}")
            storage.start = file.tell()
            if storage.start + count * storage.dtype.itemsize > len(file):
                break  # what the missing bytes are of is named where they are looked for
            file.seek(count * storage.dtype.itemsize, 1)
    return content


def _stored(path: Path, name: str, tensor: _Tensor, size: int) -> StoredTensor:
    storage = tensor.storage
    if storage.start is None:
        raise WeightsError(f"{path} is damaged: the bytes of {name!r} are not in it. Copy it from its source again")
    offset = storage.start + tensor.offset * storage.dtype.itemsize
    stored = StoredTensor(path, storage.dtype, offset, tensor.shape, tensor.strides)
    if tensor.offset + stored.extent > storage.count:
        raise WeightsError(f"{path} is damaged: {name!r} reaches beyond its storage. Copy it from its source again")
    if offset + stored.extent * storage.dtype.itemsize > size:
        raise WeightsError(
            f"{path} is truncated: {name!r} ends at byte {offset + stored.extent * storage.dtype.itemsize}, but the file has "
            f"{size} bytes. Copy it from its source again"
        )
    return stored
