"""An encoder with its adapter: what is frozen, what is learnt, and what a file holds of it."""

import shutil

import keras
import numpy as np
import pytest
from model.encoders.made_weights import made_patches
from model.encoders.parity import VECTORS

import ats_mag

GATED = VECTORS / "timm-registers-embedded-p14"


def adapted(folder=GATED, trainable=False, size=42, patch_size=42, **options):
    encoder = ats_mag.encoder(folder, size, trainable, "cls")
    return ats_mag.AdaptedEncoder(
        encoder, ats_mag.adapter(encoder.output_shape[-1], 8, 16), patch_size, trainable, **options
    )


def test_chunks_change_nothing_and_patches_are_resized():
    model, patches = adapted(patch_size=21, chunk=4), made_patches(11, 21)
    found = np.asarray(model.encode(patches))
    assert found.shape == (11, model.encoded_dimension)
    model.chunk = 16
    np.testing.assert_allclose(model.encode(patches), found, atol=2e-6)
    enlarged = keras.ops.image.resize(patches.astype("float32"), (42, 42), antialias=True)
    np.testing.assert_allclose(model.encoder(enlarged), found, atol=2e-6)
    assert model(patches).shape == model.compute_output_shape(patches.shape) == (11, 8)
    np.testing.assert_allclose(keras.ops.norm(model(patches), axis=-1), 8**0.5, rtol=1e-2)


@pytest.mark.needs_tensorflow
@pytest.mark.parametrize("trainable", [False, "last-1-block", True])
def test_only_what_is_free_learns(trainable):
    import tensorflow as tf

    model = adapted(trainable=trainable)
    free = len(model.encoder.trainable_variables)
    assert model.frozen == (trainable is False) == (free == 0)
    model.trainable = False
    assert not model.trainable_variables
    model.trainable = True  # which frees every layer of an ordinary Keras model
    assert len(model.encoder.trainable_variables) == free
    with tf.GradientTape() as tape:
        tape.watch(model.encoder.variables[0].value)
        features = model(made_patches(2, 42), training=True)
    gradients = tape.gradient(features, [*model.trainable_variables, model.encoder.variables[0].value])
    assert all(gradient is not None for gradient in gradients[:-1])
    assert trainable or gradients[-1] is None


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("trainable", [False, "last-1-block"])
def test_keras_file(apart, trainable, tmp_path):
    model, patches = adapted(trainable=trainable, apart=apart), made_patches(2, 42)
    for variable in model.trainable_variables:
        variable.assign(variable + 0.01)
    if trainable:
        model.trainable = False  # as in a phase in which the attention learns alone
    model.save(tmp_path / "model.keras")
    loaded = ats_mag.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(patches), model(patches))
    assert loaded.apart == apart
    assert len(loaded.variables_apart()) == (len(model.encoder.variables) - bool(trainable) * 16 if apart else 0)
    adapted(trainable=trainable, apart=not apart).save(tmp_path / "other.keras")
    sizes = [(tmp_path / name).stat().st_size for name in ("model.keras", "other.keras")]
    assert (sizes[0] < sizes[1]) == apart


def test_files_that_are_gone_or_others_are_refused(tmp_path):
    folder = shutil.copytree(GATED, tmp_path / "mine")
    adapted(folder, apart=True).save(tmp_path / "model.keras")
    weights = next(folder.glob("*.safetensors"))
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ValueError, match=r"mine/.*safetensors is not the file of the encoder 'mine'"):
        ats_mag.load_model(tmp_path / "model.keras")
    weights.unlink()
    with pytest.raises(ValueError, match=r"mine/.*safetensors with the weights .* is not there"):
        ats_mag.load_model(tmp_path / "model.keras")


def test_weights_that_are_freed_unsaid_are_not_lost(tmp_path):
    model = adapted(apart=True)
    model.encoder.set_trainable(True)
    with pytest.raises(ValueError, match="say so by trainable_encoder"):
        model.save(tmp_path / "model.keras")
    with pytest.raises(ValueError, match="True or False"):
        ats_mag.AdaptedEncoder(ats_mag.feature_network(32), trainable_encoder="last-1-block")


@pytest.mark.needs_tensorflow
def test_an_encoder_has_a_learning_rate_of_its_own():
    import tensorflow as tf

    def stepped(make):
        keras.utils.set_random_seed(0)
        model = adapted(trainable="last-1-block")
        optimizers = make(model)
        for _ in range(3):
            with tf.GradientTape() as tape:
                loss = keras.ops.sum(model(made_patches(2, 42)) ** 3)
            gradients = dict(
                zip(map(id, model.trainable_variables), tape.gradient(loss, model.trainable_variables), strict=True)
            )
            for optimizer, variables in optimizers:
                optimizer.apply_gradients([(gradients[id(v)], v) for v in variables])
        return [np.asarray(v) for v in model.trainable_variables]

    def two(model):
        rest = model.adapter.trainable_variables
        return [(keras.optimizers.Adam(1e-2), rest), (keras.optimizers.Adam(1e-4), model.encoder.trainable_variables)]

    def one(model):
        made = ats_mag.Recipe(learning_rate=1e-2, encoder_learning_rate=1e-4).optimizer(10)
        again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(made))
        assert again.name == "adam"
        return [(again, model.trainable_variables)]

    for a, b in zip(stepped(one), stepped(two), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
