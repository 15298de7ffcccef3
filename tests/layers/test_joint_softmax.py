"""One softmax over places and magnifications."""

import keras
import numpy as np
import pytest
from backends import compiled, examples, value_and_gradients
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from layer_contract import check_layer

from ats_mag.layers.joint_softmax import JointSoftmax

SHAPE = (3, 4, 5, 2)


@pytest.fixture
def logits():
    return np.random.default_rng(0).normal(size=SHAPE).astype("float32")


@pytest.mark.parametrize("smooth", [0.0, 0.1])
def test_contract(logits, tmp_path, smooth):
    mask = np.random.default_rng(1).random(SHAPE[:3]) < 0.5
    check_layer(JointSoftmax(smooth=smooth), logits, tmp_path, {"mask": mask})
    check_layer(JointSoftmax(smooth=smooth), logits, tmp_path)


@settings(max_examples=examples(30), deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.2]), st.floats(0, 1), st.booleans())
def test_is_a_distribution_over_the_mask(seed, smooth, share, per_magnification):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=SHAPE).astype("float32") * 5
    mask = rng.random(SHAPE if per_magnification else SHAPE[:3]) < share
    valid = mask if per_magnification else np.repeat(mask[..., None], 2, axis=-1)
    attention = np.asarray(JointSoftmax(smooth=smooth)(logits, mask=mask))
    assert (attention[~valid] == 0).all()
    assert (attention[valid] > 0).all()
    np.testing.assert_allclose(attention.sum(axis=(1, 2, 3)), valid.any(axis=(1, 2, 3)), rtol=1e-5)
    e = np.where(valid, np.exp(logits.astype("float64")), 0)
    e /= np.maximum(e.sum(axis=(1, 2, 3), keepdims=True), 1e-300)
    uniform = valid / np.maximum(valid.sum(axis=(1, 2, 3), keepdims=True), 1)
    np.testing.assert_allclose(attention, (1 - smooth) * e + smooth * uniform, rtol=1e-4, atol=1e-9)


def test_without_a_mask_every_cell_counts(logits):
    everywhere = np.ones(SHAPE[:3], bool)
    np.testing.assert_array_equal(JointSoftmax(0.1)(logits), JointSoftmax(0.1)(logits, mask=everywhere))
    integers = everywhere.astype("uint8")
    np.testing.assert_array_equal(JointSoftmax(0.1)(logits), JointSoftmax(0.1)(logits, mask=integers))


@pytest.mark.parametrize("smooth", [0.0, 0.1])
@pytest.mark.parametrize("masked_logit", [0.0, 1e4, 3e38, np.inf, np.nan])
def test_masked_logits_never_matter(logits, smooth, masked_logit):
    mask = np.zeros(SHAPE[:3], bool)
    mask[:, 1:3, 1:4] = True
    mask[2] = False  # an empty mask
    upstream = np.random.default_rng(2).normal(size=SHAPE).astype("float32") * 100
    layer = JointSoftmax(smooth)

    def total(x):
        return ops.sum(layer(x, mask=mask) * upstream)

    clean, [clean_gradient] = value_and_gradients(total, logits)
    poisoned = np.where(mask[..., None], logits, np.float32(masked_logit))
    value, [gradient] = value_and_gradients(total, poisoned)
    assert value == clean
    np.testing.assert_array_equal(gradient, clean_gradient)
    assert np.isfinite(gradient).all()
    assert (gradient[2] == 0).all()
    assert (np.asarray(layer(logits, mask=mask))[2] == 0).all()


@pytest.mark.parametrize("size", [1e3, 1e30, 3e38])
def test_huge_logits(size):
    logits = np.zeros((1, 2, 2, 1), "float32")
    logits[0, 0, 0, 0], logits[0, 1, 1, 0] = size, -size
    layer = JointSoftmax()
    attention = np.asarray(layer(logits))
    np.testing.assert_array_equal(attention.ravel(), [1, 0, 0, 0])
    _, [gradient] = value_and_gradients(lambda x: ops.sum(layer(x)[0, 0]), logits)
    assert np.isfinite(gradient).all()


def test_very_negative_logits():
    attention = JointSoftmax()(np.full((1, 2, 2, 1), -3e38, "float32"))
    np.testing.assert_array_equal(np.asarray(attention).ravel(), [0.25] * 4)


def test_half_precision_logits(logits):
    attention = JointSoftmax()(logits.astype("float16"))
    assert keras.backend.standardize_dtype(attention.dtype) == "float32"
    expected = JointSoftmax()(logits.astype("float16").astype("float32"))
    np.testing.assert_array_equal(attention, expected)
    large = np.random.default_rng(0).normal(size=(1, 100, 100, 2)).astype("float16")
    assert float(ops.sum(JointSoftmax()(large))) == pytest.approx(1, rel=1e-5)


def test_compiles_with_an_empty_mask(logits):
    mask = np.zeros(SHAPE[:3], bool)
    assert (np.asarray(compiled(lambda x: JointSoftmax(0.1)(x, mask=mask))(logits)) == 0).all()


@pytest.mark.needs_tensorflow
def test_unknown_sizes(logits):
    import tensorflow as tf

    layer = JointSoftmax(0.1)
    specs = [tf.TensorSpec((None, None, None, 2), tf.float32), tf.TensorSpec((None, None, None), tf.bool)]
    graph = tf.function(lambda x, mask: layer(x, mask=mask), input_signature=specs)
    mask = np.random.default_rng(1).random(SHAPE[:3]) < 0.5
    np.testing.assert_allclose(graph(logits, mask), layer(logits, mask=mask), rtol=1e-6)


@pytest.mark.parametrize("smooth", [-0.1, 1.0, 2])
def test_impossible_smoothing(smooth):
    with pytest.raises(ValueError, match="Received: smooth"):
        JointSoftmax(smooth)


def test_other_ranks(logits):
    with pytest.raises(ValueError, match="Received: shape"):
        JointSoftmax()(logits[..., 0])
