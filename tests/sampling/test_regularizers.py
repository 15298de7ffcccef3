"""The regularisers: values by hand, gradients that keep magnifications in play, and strengths that can change."""

import keras
import numpy as np
import pytest
from backends import compiled, value_and_gradients

from ats_mag.layers.regularize_attention import RegularizeAttention
from ats_mag.sampling.regularizers import MagnificationEntropy, MultinomialEntropy


@pytest.fixture
def attention():
    a = np.random.default_rng(0).random((3, 4, 5, 2)).astype("float32")
    return a / a.sum(axis=(1, 2, 3), keepdims=True)


def test_multinomial_entropy(attention):
    entropy = -(attention * np.log(attention + 1e-6)).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(MultinomialEntropy(0.5)(attention), -0.5 * entropy.mean(), rtol=1e-5)


@pytest.mark.parametrize("per", ["slide", "batch"])
def test_magnification_entropy(attention, per):
    marginal = attention.sum(axis=(1, 2))
    if per == "batch":
        marginal = marginal.mean(axis=0, keepdims=True)
    entropy = -(marginal * np.log(marginal + 1e-6)).sum(axis=-1).mean()
    np.testing.assert_allclose(MagnificationEntropy(0.5, per)(attention), -0.5 * entropy, rtol=1e-5)


def test_per_batch_lets_single_slides_settle():
    settled = np.zeros((2, 1, 1, 2), "float32")
    settled[0, ..., 0] = settled[1, ..., 1] = 1
    assert float(MagnificationEntropy(1.0, "batch")(settled)) == pytest.approx(-np.log(2), rel=1e-4)
    assert float(MagnificationEntropy(1.0, "slide")(settled)) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("per", ["slide", "batch"])
def test_magnification_entropy_feeds_the_starved_magnification(per):
    attention = np.full((2, 3, 3, 2), 1e-4, "float32")
    attention[..., 0] = 1 / 9 - 1e-4
    _, [gradient] = value_and_gradients(MagnificationEntropy(1.0, per), attention)
    assert (gradient[..., 1] < gradient[..., 0]).all()
    assert np.ptp(gradient[..., 1]) == 0  # of the places within a magnification it says nothing


@pytest.mark.parametrize("regularizer", [MultinomialEntropy(1.0), MagnificationEntropy(1.0)])
def test_one_hot_attention_stays_finite(regularizer):
    attention = np.zeros((2, 3, 3, 2), "float32")
    attention[:, 0, 0, 0] = 1
    value, [gradient] = value_and_gradients(regularizer, attention)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


@pytest.mark.needs_tensorflow  # JAX compiles in what it is not passed: there a layer must hold the strength, see below
def test_a_new_strength_reaches_a_traced_graph(attention):
    regularizer = MultinomialEntropy(1.0)
    graph = compiled(lambda x: regularizer(x))
    before = float(graph(attention))
    regularizer.strength.assign(3.0)
    assert float(graph(attention)) == pytest.approx(3 * before, rel=1e-5)


def test_a_new_strength_reaches_a_compiled_training_step(attention):
    regularizer = MultinomialEntropy(0.0)
    inputs = keras.Input(attention.shape[1:])
    trained = keras.layers.Dense(1)(RegularizeAttention(regularizer)(inputs))
    model = keras.Model(inputs, trained)
    model.compile(loss=lambda y, p: 0.0 * keras.ops.sum(p, axis=(1, 2, 3)), optimizer="sgd")
    losses = []
    for strength in (0.0, 1.0, 2.0):
        regularizer.strength.assign(strength)
        losses.append(float(model.train_on_batch(attention, np.zeros(3))))
    entropy_term = float(MultinomialEntropy(1.0)(attention))
    np.testing.assert_allclose(losses, [0, entropy_term, 2 * entropy_term], rtol=1e-5)


@pytest.mark.parametrize("regularizer", [MultinomialEntropy(0.25, 1e-5), MagnificationEntropy(0.25, "batch", 1e-5)])
def test_serialisation(regularizer, attention):
    regularizer.strength.assign(0.75)
    config = keras.regularizers.serialize(regularizer)
    copy = keras.regularizers.deserialize(config)
    assert copy.get_config() == regularizer.get_config()
    assert copy.get_config()["strength"] == 0.75
    np.testing.assert_array_equal(copy(attention), regularizer(attention))


def test_impossible_arguments():
    with pytest.raises(ValueError, match="Received: strength='high'"):
        MultinomialEntropy("high")
    with pytest.raises(ValueError, match="Received: per='patch'"):
        MagnificationEntropy(1.0, per="patch")
