"""Features of unit length."""

import numpy as np
from backends import value_and_gradients
from keras import ops
from layer_contract import check_layer

from ats_mag.layers.l2_normalize import L2Normalize


def test_contract(tmp_path):
    x = np.random.default_rng(0).normal(size=(3, 4, 6)).astype("float32")
    np.testing.assert_allclose(L2Normalize()(x), x / np.linalg.norm(x, axis=-1, keepdims=True), rtol=1e-5)
    check_layer(L2Normalize(), x, tmp_path)


def test_a_zero_vector_has_a_value_and_a_gradient():
    value, [gradient] = value_and_gradients(lambda x: ops.sum(L2Normalize()(x)), np.zeros((2, 5), "float32"))
    assert float(value) == 0
    assert np.isfinite(gradient).all()
