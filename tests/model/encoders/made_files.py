"""Writes files of weights, sound and damaged, without the libraries that usually write them."""

import json
import struct

import numpy as np

NAMES = {"float32": "F32", "float16": "F16", "float64": "F64", "int64": "I64", "bfloat16": "BF16"}


def write_safetensors(path, tensors):
    """A file of NumPy arrays by name."""
    header, offset = {}, 0
    for name, tensor in tensors.items():
        end = offset + tensor.nbytes
        header[name] = {"dtype": NAMES[tensor.dtype.name], "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            file.write(np.ascontiguousarray(tensor).tobytes())
