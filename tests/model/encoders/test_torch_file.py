"""Files of torch's are read without torch, and nothing in them is run."""

import io
import os
import pickle
import zipfile

import numpy as np
import pytest
from model.encoders.parity import VECTORS

from ats_mag.model.encoders.stored_tensor import WeightsError
from ats_mag.model.encoders.torch_file import read_torch_file

LAYOUTS = ("kinds-zip.bin", "kinds-old.bin")
BASE = np.arange(24, dtype=np.float32)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_kind_of_tensor(layout):
    found = {name: tensor.read() for name, tensor in read_torch_file(VECTORS / layout).items()}
    expected = {
        "whole": BASE.reshape(4, 6),
        "transposed": BASE.reshape(4, 6).T,
        "part": BASE[5:11],
        "every second": BASE[::2],
        "scalar": np.float32(3.5),
        "empty": np.zeros((0, 3), np.float32),
        "parameter": np.ones((2, 2), np.float32),
        **{name: np.array([0, 1, -2], name) for name in ("float64", "float16")},
        **{name: np.array([0, 1, 2], name) for name in ("int64", "int32", "uint8", "bool")},
    }
    bfloat16 = found.pop("bfloat16")
    assert bfloat16.dtype.name == "bfloat16"
    np.testing.assert_array_equal(bfloat16.astype(np.float32), [0, 1, -2])
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].dtype == value.dtype
        np.testing.assert_array_equal(found[name], value, err_msg=name)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_damaged_files_are_refused_by_their_name(layout, tmp_path):
    content = (VECTORS / layout).read_bytes()
    random = np.random.RandomState(0)
    path, refused = tmp_path / "weights.bin", 0
    for length in range(0, len(content) - 1, 61):
        path.write_bytes(content[:length])
        with pytest.raises(WeightsError, match=r"weights\.bin"):
            read_torch_file(path)
    for _ in range(250):
        damaged = bytearray(content)
        damaged[random.randint(len(content))] = random.randint(256)
        path.write_bytes(damaged)
        try:
            for tensor in read_torch_file(path).values():
                if tensor.extent < 100:
                    tensor.read()
        except WeightsError as error:
            refused += "weights.bin" in str(error)
    assert refused > 20


class Evil:
    """Runs a command when it is unpickled by the standard library."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def zipped(content):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", content)
    return file.getvalue()


def old(content):
    return b"".join(pickle.dumps(x, 2) for x in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})) + content


@pytest.mark.parametrize("layout", [zipped, old])
def test_code_is_not_run(layout, tmp_path):
    path = tmp_path / "weights.bin"
    path.write_bytes(layout(pickle.dumps({"a": Evil(f"touch {tmp_path / 'ran'}")}, 2)))
    with pytest.raises(WeightsError, match=r"weights\.bin is refused: it asks for posix\.system.*model\.safetensors"):
        read_torch_file(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "name",
    [
        "builtins\neval",
        "torch.nn.modules.linear\nLinear",
        "numpy\nload",
        "collections\ndeque",
        "torch.storage\n_load_from_bytes",
    ],
)
def test_other_names_are_refused(name, tmp_path):
    path = tmp_path / "weights.bin"
    path.write_bytes(zipped(b"\x80\x02c" + name.encode() + b"\n."))
    with pytest.raises(WeightsError, match=name.replace("\n", r"\.")):
        read_torch_file(path)


def test_permitted_names_cannot_be_changed(tmp_path):
    path = tmp_path / "weights.bin"
    path.write_bytes(zipped(b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}X\x04\x00\x00\x00callK\x01sb."))
    with pytest.raises(WeightsError, match="a name of the library is changed"):
        read_torch_file(path)


def test_what_is_no_state_dict(tmp_path):
    path = tmp_path / "weights.bin"
    path.write_bytes(zipped(pickle.dumps([1, 2], 2)))
    with pytest.raises(WeightsError, match="holds no tensors by name"):
        read_torch_file(path)
