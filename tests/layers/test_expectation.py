"""The weighted sum of features."""

import keras
import numpy as np
import pytest
from layer_contract import check_layer

from ats_mag.layers.expectation import Expectation


@pytest.mark.parametrize("tail", [(), (6,), (2, 3), (2, 3, 2)])
def test_contract(tail, tmp_path):
    rng = np.random.default_rng(0)
    inputs = [rng.normal(size=(3, 4, *tail)).astype("float32"), rng.random((3, 4)).astype("float32")]
    expected = np.einsum("bn,bn...->b...", inputs[1].astype("float64"), inputs[0].astype("float64"))
    np.testing.assert_allclose(Expectation()(inputs), expected, rtol=1e-5, atol=1e-6)
    if tail:  # a Keras model has no output of rank 1
        check_layer(Expectation(), inputs, tmp_path, trained=(0, 1))


def test_half_precision_features_are_summed_in_single():
    features, weight = np.full((1, 4096, 1), 1.0, "float16"), np.full((1, 4096), 1 / 4096, "float32")
    phi = Expectation()([features, weight])
    assert keras.backend.standardize_dtype(phi.dtype) == "float32"
    assert float(phi[0, 0]) == pytest.approx(1, rel=1e-6)
