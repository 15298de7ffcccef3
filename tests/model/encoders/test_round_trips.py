"""An encoder is saved, exported and frozen as any Keras model."""

import keras
import numpy as np
import pytest
from model.encoders.made_weights import made_patches
from model.encoders.parity import VECTORS

import ats_mag

GATED = VECTORS / "timm-registers-embedded-p14"
TOLERANCE = 0.05  # of bfloat16's features: root mean square of the error, relative to the features' standard deviation


def tiny(**options):
    return ats_mag.encoder(GATED, 42, **{"pool": "cls+mean", **options})


def relative(found, expected):
    return np.std(np.asarray(found) - expected) / np.std(expected)


@pytest.mark.parametrize("kind", ["tiny", "lite0"])
def test_keras_file(kind, request, tmp_path):
    encoder = tiny() if kind == "tiny" else request.getfixturevalue("lite0")
    patches = made_patches(2, encoder.patch_size)
    expected = np.asarray(encoder(patches))
    encoder.save(tmp_path / "encoder.keras")
    loaded = ats_mag.load_model(tmp_path / "encoder.keras")
    np.testing.assert_array_equal(loaded(patches), expected)
    configs = [{k: v for k, v in model.get_config().items() if k != "network"} for model in (loaded, encoder)]
    assert configs[0] == configs[1]
    assert [v.path for v in loaded.weights] == [v.path for v in encoder.weights]
    assert not loaded.trainable_variables


@pytest.mark.long
@pytest.mark.needs_tensorflow
def test_saved_model(tmp_path):
    import tensorflow as tf

    encoder, patches = tiny(), made_patches(3, 42).astype("float32")
    encoder.export(tmp_path / "saved", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "saved")
    np.testing.assert_allclose(loaded.serve(patches), encoder(patches), atol=1e-5)


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "bfloat16"])
def test_bfloat16(dtype, tmp_path):
    patches = made_patches(8, 42)
    expected, encoder = np.asarray(tiny()(patches)), tiny(dtype=dtype)
    found = np.asarray(encoder(patches))
    assert found.dtype == np.float32
    assert 0 < relative(found, expected) < TOLERANCE
    kernels = {keras.backend.standardize_dtype(v.dtype) for v in encoder.weights if v.path.endswith("kernel")}
    assert kernels == {"float32" if dtype.startswith("mixed") else "bfloat16"}
    encoder.save(tmp_path / "encoder.keras")
    np.testing.assert_array_equal(ats_mag.load_model(tmp_path / "encoder.keras")(patches), found)


def test_lite0_in_bfloat16(lite0):
    patches = made_patches(2, 64)
    found = ats_mag.encoder("efficientnet-lite0", 64, dtype="bfloat16")(patches)
    assert 0 < relative(found, np.asarray(lite0(patches))) < TOLERANCE


def test_what_is_trainable():
    encoder = tiny()
    assert not encoder.trainable_variables
    encoder = tiny(trainable=True)
    assert len(encoder.trainable_variables) == len(encoder.weights) == 4 + 2 * 14 + 2
    encoder = tiny(trainable="last-1-block")
    assert {v.path.split("/")[1] for v in encoder.trainable_variables} == {"block1", "norm"}
    again = type(encoder).from_config(encoder.get_config())
    assert [v.path for v in again.trainable_variables] == [v.path for v in encoder.trainable_variables]
    with pytest.raises(ValueError, match="has 2 blocks"):
        encoder.set_trainable("last-3-blocks")


def test_part_of_a_convolutional_network_is_trained_with_stored_statistics(lite0):
    lite0.set_trainable("last-2-blocks")
    stages = {v.path.split("/")[-2].partition("_")[0] for v in lite0.trainable_variables}
    assert stages == {"block14", "block15", "head"}
    patches = made_patches(2, 64)
    np.testing.assert_array_equal(lite0(patches, training=True), lite0(patches, training=False))
    lite0.set_trainable(False)
    assert not lite0.trainable_variables


def test_small_and_keras_networks():
    small = ats_mag.encoder("small", 32)
    assert small.output_shape == (None, 64)
    assert small.trainable_variables
