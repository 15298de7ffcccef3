"""A regulariser enters the loss once, whatever the batch."""

import keras
import numpy as np
import pytest
from layer_contract import check_layer

from ats_mag.layers.regularize_attention import RegularizeAttention
from ats_mag.sampling.regularizers import MagnificationEntropy, MultinomialEntropy


def attention(batch=4):
    a = np.random.default_rng(0).random((batch, 3, 4, 2)).astype("float32")
    return a / a.sum(axis=(1, 2, 3), keepdims=True)


@pytest.mark.parametrize("regularizer", [MultinomialEntropy(0.1), MagnificationEntropy(0.1, per="batch")])
def test_contract(regularizer, tmp_path):
    check_layer(RegularizeAttention(regularizer), attention(), tmp_path)


def test_other_callables():
    layer = RegularizeAttention(lambda a: keras.ops.sum(a))
    layer(attention())
    assert float(layer.losses[0]) == pytest.approx(4)


@pytest.mark.parametrize("batch", [1, 4])
def test_loss_holds_the_value_once(batch):
    inputs = keras.Input((3, 4, 2))
    model = keras.Model(inputs, keras.layers.Dense(1)(RegularizeAttention(MultinomialEntropy(2.0))(inputs)))
    model.compile("sgd", loss=lambda y, p: 0 * keras.ops.sum(p, axis=(1, 2, 3)))
    expected = float(MultinomialEntropy(2.0)(attention(batch)))
    for _ in range(2):  # it does not pile up from step to step
        assert float(model.train_on_batch(attention(batch), np.zeros(batch))) == pytest.approx(expected, rel=1e-5)
    assert float(model.evaluate(attention(batch), np.zeros(batch), verbose=0)) == pytest.approx(expected, rel=1e-5)


def test_strength_is_saved_and_loaded(tmp_path):
    regularizer = MultinomialEntropy(2.0)
    inputs = keras.Input((3, 4, 2))
    model = keras.Model(inputs, RegularizeAttention(regularizer, name="entropy")(inputs))
    regularizer.strength.assign(0.5)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert float(loaded.get_layer("entropy").regularizer.strength.value) == 0.5
