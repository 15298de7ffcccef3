"""Draws stratified by the last axis."""

import numpy as np
import pytest
from backends import compiled, value_and_gradients
from keras import ops

from ats_mag.sampling.draws import sample
from ats_mag.sampling.methods import STOCHASTIC_METHODS

ATTENTION = np.random.default_rng(0).dirichlet(np.full(24, 0.5), 2).reshape(2, 3, 4, 2).astype("float32")


def noise_for(method, n, batch, rng=None):
    rng = rng or np.random.default_rng(1)
    return rng.uniform(size=(batch, n if method == "replacement" else 24)).astype("float32")


@pytest.mark.parametrize("method", STOCHASTIC_METHODS)
@pytest.mark.parametrize("n", [2, 5, 8])
def test_every_stratum_gets_its_share(method, n):
    samples = sample(ATTENTION, n, method, stratify=True)
    stratum = np.asarray(samples.index)[..., 2]
    assert samples.index.shape == (2, n, 3)
    assert ((stratum == 0).sum(axis=1) == n - n // 2).all()
    cells = np.asarray(samples.index)
    gathered = np.stack([ATTENTION[b][tuple(i.T)] for b, i in enumerate(cells)])
    np.testing.assert_allclose(samples.attention, gathered, rtol=1e-6)
    # The weights of a stratum sum to its mass.
    for m in range(2):
        total = np.where(stratum == m, samples.weight, 0).sum(axis=1)
        np.testing.assert_allclose(total, ATTENTION[..., m].sum(axis=(1, 2)), rtol=1e-5)


@pytest.mark.parametrize("method", STOCHASTIC_METHODS)
def test_mean_value_and_logit_gradient(method):
    """`normalize=False` throughout: unbiased."""
    batch, n = 40_000, 6
    features = np.random.default_rng(2).normal(size=24).astype("float32")
    a = ATTENTION[0].ravel().astype("float64")
    noise = noise_for(method, n, batch)

    def per_draw(attention):
        samples = sample(
            ops.reshape(attention, (batch, 3, 4, 2)), n, method, noise=noise, normalize=False, stratify=True
        )
        cell = ops.sum(samples.index * np.array([8, 2, 1], "int32"), axis=-1)
        return ops.sum(samples.weight * ops.take(features, cell), axis=1)

    tiled = np.tile(ATTENTION[0].reshape(1, 24), (batch, 1))
    values = np.asarray(per_draw(tiled), "float64")
    _, [by_attention] = value_and_gradients(lambda x: ops.sum(per_draw(x)), tiled)
    by_attention = by_attention.astype("float64")
    by_logits = a * (by_attention - by_attention @ a[:, None])
    truth = a * (features - a @ features)
    for found, expected in ((values, a @ features), (by_logits, truth)):
        error = (found.mean(axis=0) - expected) / (found.std(axis=0) / np.sqrt(batch) + 1e-9)
        assert np.abs(error).max() < 4.5


@pytest.mark.parametrize("method", STOCHASTIC_METHODS)
@pytest.mark.parametrize("mass", [0.0, 1e-42, 1e-30, 1e-15])
def test_starved_stratum_stays_finite(method, mass):
    attention = ATTENTION.copy()
    attention[..., 1] *= mass
    noise = noise_for(method, 6, 2)
    value, [gradient] = value_and_gradients(
        lambda a: ops.sum(sample(a, 6, method, noise=noise, stratify=True).weight * 3.0), attention
    )
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("method", STOCHASTIC_METHODS)
def test_strata_are_drawn_independently(method):
    """Also where the seed is a number: the same noise in every stratum would tie their draws together."""
    attention = np.full((4000, 1, 6, 2), 1 / 12, "float32")
    cells = np.asarray(sample(attention, 2, method, seed=1, stratify=True).index)[..., 1]
    assert abs((cells[:, 0] == cells[:, 1]).mean() - 1 / 6) < 0.03


@pytest.mark.parametrize("method", STOCHASTIC_METHODS)
def test_neighbouring_seeds_draw_other_places(method):
    """A stratum of one seed must not draw what another stratum of the next seed does."""
    uniform = np.full((1, 30, 30, 2), 1 / 1800, "float32")

    def places(seed, stratum):
        index = np.asarray(sample(uniform, 40, method, seed=seed, stratify=True).index)[0]
        return {tuple(cell[:2]) for cell in index if cell[2] == stratum}

    for a, b in ((places(5, 1), places(6, 0)), (places(5, 0), places(5, 1)), (places(5, 1), places(6, 1))):
        assert len(a & b) < 6  # 20 of 900: 0.4 by chance
    assert places(5, 1) == places(5, 1)


@pytest.mark.parametrize("method", STOCHASTIC_METHODS)
def test_compiles(method):
    noise = noise_for(method, 6, 2)

    def draw(a):
        samples = sample(a, 6, method, noise=noise, stratify=True)
        return samples.index, samples.weight

    index, weight = compiled(draw)(ATTENTION)
    eager = draw(ATTENTION)
    np.testing.assert_array_equal(index, eager[0])
    np.testing.assert_allclose(weight, eager[1], rtol=1e-5)


def test_too_few_draws():
    with pytest.raises(ValueError, match="at least one draw for each of the 2 strata"):
        sample(ATTENTION, 1, stratify=True)
    with pytest.raises(ValueError, match="lattice of 12 cells"):
        sample(ATTENTION, 25, stratify=True)
