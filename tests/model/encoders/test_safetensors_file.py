"""Files of safetensors are read tensor by tensor, and damaged ones refused."""

import json
import struct

import ml_dtypes
import numpy as np
import pytest

from ats_mag.model.encoders.safetensors_file import read_safetensors
from ats_mag.model.encoders.stored_tensor import WeightsError
from experiments.common.random_encoder import write_safetensors

TENSORS = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": np.array([1, 2], np.float16),
    "c": np.array([1.5, -2], ml_dtypes.bfloat16),
    "d": np.array(7, np.int64),
    "e": np.zeros((0, 4), np.float64),
}


def test_every_kind_of_tensor(tmp_path):
    write_safetensors(tmp_path / "w.safetensors", TENSORS)
    found = read_safetensors(tmp_path / "w.safetensors")
    assert found.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert found[name].dtype == tensor.dtype
        np.testing.assert_array_equal(found[name].read(), tensor)


def test_damaged_files_are_refused_by_their_name(tmp_path):
    path = tmp_path / "w.safetensors"
    write_safetensors(path, TENSORS)
    content = path.read_bytes()
    for length in range(0, len(content), 3):
        path.write_bytes(content[:length])
        with pytest.raises(WeightsError, match=r"w\.safetensors is (truncated|not a safetensors file)"):
            read_safetensors(path)
    random = np.random.RandomState(0)
    refused = []
    for _ in range(300):
        damaged = bytearray(content)
        damaged[random.randint(len(content))] = random.randint(256)
        path.write_bytes(damaged)
        try:
            for tensor in read_safetensors(path).values():
                tensor.read()
        except WeightsError as error:
            refused.append(str(error))
    assert refused
    assert all("w.safetensors" in text for text in refused)


@pytest.mark.parametrize(
    "header",
    [
        {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}},
        {"a": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [1]}},
        {"a": 3},
        [1],
    ],
)
def test_headers_that_contradict_themselves(header, tmp_path):
    text = json.dumps(header).encode()
    (tmp_path / "w.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + bytes(8))
    with pytest.raises(WeightsError, match="not a safetensors file, or its header is damaged"):
        read_safetensors(tmp_path / "w.safetensors")


def test_a_pointer_in_place_of_the_weights(tmp_path):
    (tmp_path / "w.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n")
    with pytest.raises(WeightsError, match="pointer of Git LFS"):
        read_safetensors(tmp_path / "w.safetensors")
