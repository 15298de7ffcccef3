"""The baseline's weights: the values of `sequential`, the derivatives of attention-sampling 0.2."""

import numpy as np
import pytest
from backends import value_and_gradients
from keras import ops

from ats_mag import sample_weights

pytestmark = pytest.mark.needs_tensorflow


def test_values_and_derivatives():
    from experiments.common.gradient_02 import weights_of_02
    from experiments.estimators.derivative_02 import derivative_of_02

    rng = np.random.default_rng(0)
    attention = rng.dirichlet(np.full(9, 0.7), size=4)[:, :5]
    scores = rng.normal(size=attention.shape)
    np.testing.assert_allclose(weights_of_02(attention), sample_weights(attention, "sequential"), rtol=1e-12)
    _, (gradient,) = value_and_gradients(lambda a: ops.sum(weights_of_02(a) * scores), attention)
    np.testing.assert_allclose(gradient, derivative_of_02(attention, scores), rtol=1e-9)


@pytest.mark.parametrize("case", ["b4n5d8", "b3n10d32", "b1n50d16"])
def test_what_the_library_computed(golden, case):
    from experiments.common.gradient_02 import weights_of_02

    case = golden("expected")[f"{case}/wor"]

    def estimate(attention):
        return ops.einsum("bn,bnd->bd", weights_of_02(attention), case["features"].astype("float64"))

    _, (gradient,) = value_and_gradients(
        lambda a: ops.sum(estimate(a) * case["upstream"].astype("float64")), case["attention"].astype("float64")
    )
    np.testing.assert_allclose(estimate(case["attention"].astype("float64")), case["out"], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        gradient, case["grad_attention"], rtol=1e-3, atol=1e-3 * np.abs(case["grad_attention"]).max()
    )


def test_strata_are_weighted_apart():
    """Within each magnification 0.2's weights of the attention there, times the magnification's mass."""
    import ats_mag
    from experiments.common.gradient_02 import SlideClassifier02, weights_of_02

    model = SlideClassifier02(2, (0.5, 2.0), 32, 5, 16.0, attention=ats_mag.attention_network(2, 2), seed=0)
    attention = np.random.default_rng(1).dirichlet(np.full(2 * 16, 0.7), size=3).reshape(3, 4, 4, 2).astype("float32")
    samples = model.draw(attention, training=True)
    drawn, mass = samples.attention.numpy(), attention.sum((1, 2))
    assert (samples.index[..., 2].numpy() == [0, 0, 0, 1, 1]).all()
    for m, part in enumerate((slice(0, 3), slice(3, 5))):
        here = mass[:, m : m + 1]
        expected = weights_of_02(drawn[:, part] / here) * here
        np.testing.assert_allclose(samples.weight[:, part], expected, rtol=1e-5)
    np.testing.assert_allclose(samples.weight.numpy().sum(1), 1, rtol=1e-5)
