"""The encoders compute what the libraries that wrote their weights compute, on both backends."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from model.encoders import parity
from model.encoders.made_weights import made_patches, made_tensor, resnet50_shapes
from model.encoders.parity import VECTORS

import ats_mag
from experiments.common.random_encoder import write_safetensors

MODELS = parity.tiny_models()
CASES = [(name, int(size)) for name, sizes in MODELS.items() for size in sizes]


@pytest.mark.parametrize(("name", "size"), CASES, ids=lambda value: str(value))
def test_tokens_of_every_layout(name, size):
    expected = MODELS[name][str(size)]
    np.testing.assert_allclose(parity.tokens_of(name, size), expected, atol=1e-5, rtol=1e-5)


def test_the_layouts_differ_in_all_that_is_supported():
    assert len(MODELS) == 11
    shapes = {
        tokens.shape[1] - 1 - round((tokens.shape[1] - 1) ** 0.5) ** 2 for s in MODELS.values() for tokens in s.values()
    }
    assert len(shapes) > 1  # with registers and without


@pytest.mark.parametrize("pool", ["cls", "mean", "cls+mean"])
def test_pools(pool):
    name, size = "dinov2-registers-p14", 42
    tokens = MODELS[name][str(size)]
    cls, mean = tokens[:, 0], tokens[:, 5:].mean(1)  # the four registers count in neither
    expected = {"cls": cls, "mean": mean, "cls+mean": np.concatenate([cls, mean], -1)}[pool]
    encoder = ats_mag.encoder(VECTORS / name, size, pool=pool)
    assert encoder.output_shape == (None, expected.shape[1])
    np.testing.assert_allclose(encoder(made_patches(2, size)), expected, atol=1e-5)


def test_lite0(lite0):
    expected = np.load(VECTORS / "lite0.npz")["features"]
    assert lite0.output_shape == (None, 1280)
    np.testing.assert_allclose(lite0(made_patches(8, 64)), expected, atol=1e-4)
    assert expected.std() > 0.1


@pytest.mark.long
def test_resnet50(tmp_path):
    shapes = resnet50_shapes()
    write_safetensors(
        tmp_path / "model.safetensors", {name: made_tensor(name, shape) for name, shape in shapes.items()}
    )
    config = {"architecture": "resnet50", "pretrained_cfg": {"mean": [0.7, 0.55, 0.68], "std": [0.2, 0.24, 0.18]}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    encoder = ats_mag.encoder(tmp_path, 64)
    expected = np.load(VECTORS / "resnet50.npz")["features"]
    np.testing.assert_allclose(encoder(made_patches(2, 64)), expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.long
@pytest.mark.skipif(keras.backend.backend() == "jax", reason="is what the tests above do then")
def test_jax_without_tensorflow(tmp_path):
    done = subprocess.run(
        [sys.executable, parity.__file__, str(tmp_path / "found.npz")],
        env=os.environ
        | {"KERAS_BACKEND": "jax", "PYTHONPATH": os.pathsep.join(sys.path), "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found = dict(np.load(tmp_path / "found.npz"))
    assert found.pop("backend") == "jax"
    np.testing.assert_allclose(found.pop("lite0"), np.load(VECTORS / "lite0.npz")["features"], atol=1e-4)
    assert found.keys() == MODELS.keys()
    for name, tokens in found.items():
        expected = MODELS[name][max(MODELS[name], key=int)]
        np.testing.assert_allclose(tokens, expected, atol=1e-5, rtol=1e-5, err_msg=name)
