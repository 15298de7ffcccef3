"""The draws: which cells, in which order, how often; and every edge that the weights must survive."""

import itertools

import keras
import numpy as np
import pytest
import scipy.stats
from backends import compiled, double_precision, examples, value_and_gradients
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from ats_mag.sampling.draws import sample
from ats_mag.sampling.methods import METHODS, STOCHASTIC_METHODS
from ats_mag.sampling.weights import sample_weights

WITHOUT_REPLACEMENT = ["sequential", "priority", "topk"]
A = np.array([0.45, 0.3, 0.2, 0.05])


def probabilities(rng, shape, sd=1.0):
    logits = rng.normal(size=(shape[0], np.prod(shape[1:]))) * sd
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (e / e.sum(axis=1, keepdims=True)).reshape(shape).astype("float32")


def flat_index(samples, space):
    return np.ravel_multi_index(np.moveaxis(np.asarray(samples.index), -1, 0), space)


# Frequencies


@pytest.mark.parametrize("method", STOCHASTIC_METHODS)
def test_frequencies_of_ordered_draws(method):
    """Against the exact probabilities of every ordered pair."""
    n_draws = 40_000
    drawn = flat_index(sample(np.tile(A, (n_draws, 1)).astype("float32"), 2, method, seed=7), (4,))
    pairs = list(itertools.product(range(4), repeat=2))
    if method == "replacement":
        expected = [A[i] * A[j] for i, j in pairs]
    else:
        expected = [A[i] * A[j] / (1 - A[i]) if i != j else 0 for i, j in pairs]
    observed = np.bincount(drawn[:, 0] * 4 + drawn[:, 1], minlength=16)
    possible = np.array(expected) > 0
    assert observed[~possible].sum() == 0
    result = scipy.stats.chisquare(observed[possible], n_draws * np.array(expected)[possible])
    assert result.pvalue > 1e-3


def test_frequencies_of_priority_thresholds():
    """P(threshold <= t) = P(at most 2 of the perturbed log-probabilities exceed t)."""
    samples = sample(np.tile(A, (20_000, 1)).astype("float32"), 2, "priority", seed=3)

    def cdf(threshold):
        below = np.exp(-A[:, None] * np.exp(-threshold))
        total = 0
        for above in itertools.product([False, True], repeat=4):
            if sum(above) <= 2:
                total = total + np.where(np.array(above)[:, None], 1 - below, below).prod(axis=0)
        return total

    assert scipy.stats.kstest(np.asarray(samples.threshold)[:, 0], cdf).pvalue > 1e-3


@pytest.mark.parametrize("method", STOCHASTIC_METHODS)
def test_mean_estimate(method):
    """Draw and weight together, on a lattice with magnifications."""
    attention = probabilities(np.random.default_rng(1), (1, 3, 4, 2))
    features = np.random.default_rng(2).normal(size=24)
    samples = sample(np.tile(attention, (30_000, 1, 1, 1)), 5, method, seed=5, normalize=False)
    estimate = (np.asarray(samples.weight) * features[flat_index(samples, (3, 4, 2))]).sum(axis=1)
    error = (estimate.mean() - attention.ravel() @ features) / (estimate.std() / np.sqrt(len(estimate)))
    assert abs(error) < 4


def test_seeds():
    attention = probabilities(np.random.default_rng(0), (2, 5, 5))
    generator = keras.random.SeedGenerator(1)
    first, second = (np.asarray(sample(attention, 4, seed=generator).index) for _ in range(2))
    assert (first != second).any()
    repeated = [np.asarray(sample(attention, 4, seed=1).index) for _ in range(2)]
    np.testing.assert_array_equal(*repeated)


# Order


@settings(max_examples=examples(30), deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_gumbel_draws_come_in_order_of_the_perturbed_log_probabilities(seed, n):
    rng = np.random.default_rng(seed)
    attention, noise = probabilities(rng, (3, 12), sd=2), rng.uniform(0.001, 0.999, (3, 12)).astype("float32")
    perturbed = np.log(attention.astype("float64")) - np.log(-np.log(noise.astype("float64")))
    order = np.argsort(-perturbed, axis=1)
    for method in ("sequential", "priority"):
        samples = sample(attention, n, method, noise=noise)
        np.testing.assert_array_equal(samples.index[..., 0], order[:, :n])
    if n == 12:
        assert np.isneginf(samples.threshold).all()
    else:
        np.testing.assert_allclose(
            samples.threshold[:, 0], np.sort(-perturbed, axis=1)[:, n] * -1, rtol=1e-4, atol=1e-5
        )


@settings(max_examples=examples(30), deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_replacement_inverts_the_cumulative_distribution(seed):
    rng = np.random.default_rng(seed)
    attention, noise = probabilities(rng, (3, 3, 5), sd=2), rng.uniform(size=(3, 9)).astype("float32")
    drawn = flat_index(sample(attention, 9, "replacement", noise=noise), (3, 5))
    cdf = attention.reshape(3, 15).astype("float64").cumsum(axis=1)
    u = noise * cdf[:, -1:]
    before = np.take_along_axis(np.pad(cdf, [(0, 0), (1, 0)]), drawn, axis=1)
    after = np.take_along_axis(cdf, drawn, axis=1)
    assert (before - 1e-6 <= u).all()
    assert (u <= after + 1e-6).all()


def test_extremes_of_the_uniform_numbers():
    attention = np.array([[0, 0.5, 0, 0.5, 0]], "float32")
    ends = np.array([[0, np.nextafter(np.float32(1), np.float32(0)), 1]], "float32")
    assert np.asarray(sample(attention, 3, "replacement", noise=ends).index)[0, :, 0].tolist() == [1, 3, 3]
    for method in ("sequential", "priority"):
        for noise in (np.zeros((1, 5), "float32"), np.ones((1, 5), "float32")):
            samples = sample(attention, 2, method, noise=noise)
            assert sorted(np.asarray(samples.index)[0, :, 0]) == [1, 3]
            assert np.isfinite(samples.weight).all()


def test_topk_takes_the_most_probable_cells():
    samples = sample(A[None].astype("float32"), 2, "topk")
    assert np.asarray(samples.index)[0, :, 0].tolist() == [0, 1]
    np.testing.assert_allclose(samples.weight, [[0.6, 0.4]], rtol=1e-6)
    assert samples.threshold is None


def test_exhaustive_takes_every_cell():
    attention = probabilities(np.random.default_rng(0), (2, 3, 4, 2))
    samples = sample(attention, None, "exhaustive")
    assert samples.index.shape == (2, 24, 3)
    assert (np.sort(flat_index(samples, (3, 4, 2)), axis=1) == np.arange(24)).all()
    gathered = np.take_along_axis(attention.reshape(2, 24), flat_index(samples, (3, 4, 2)), axis=1)
    np.testing.assert_array_equal(samples.weight, gathered)


# Invariants


@settings(max_examples=examples(40), deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 10), st.floats(0, 8))
def test_weights_are_masses(seed, n, sd):
    """They are never negative. Those of `sequential` sum to 1 in every draw: c_i telescopes."""
    rng = np.random.default_rng(seed)
    attention = probabilities(rng, (4, 10), sd)
    for method in (*STOCHASTIC_METHODS, "topk"):
        noise = None if method == "topk" else rng.uniform(size=(4, n if method == "replacement" else 10))
        samples = sample(attention, n, method, noise=noise)
        assert (np.asarray(samples.weight) >= 0).all()
        np.testing.assert_allclose(np.asarray(samples.weight).sum(axis=1), 1, rtol=1e-5)
        assert ((flat_index(samples, (10,)) >= 0) & (flat_index(samples, (10,)) < 10)).all()
        drawn = np.take_along_axis(attention, flat_index(samples, (10,)), axis=1)
        np.testing.assert_array_equal(samples.attention, drawn)


@pytest.mark.parametrize("method", WITHOUT_REPLACEMENT)
def test_no_cell_is_drawn_twice(method):
    attention = probabilities(np.random.default_rng(0), (50, 4, 5), sd=5)
    drawn = flat_index(sample(attention, 20, method), (4, 5))
    assert (np.sort(drawn, axis=1) == np.arange(20)).all()


# Edges


def edge_cases():
    one_hot = np.zeros((1, 6), "float32")
    one_hot[0, 3] = 1
    tiny = np.full((1, 6), 1e-30, "float32")
    tiny[0, 0] = 1
    denormal = np.full((1, 6), 1e-42, "float32")
    denormal[0, 0] = 1
    nearly = np.array([[1 - 6e-8, 6e-8, 0, 0, 0, 0]], "float32")
    half = np.array([[0.5, 0, 0.25, 0, 0.25, 0]], "float32")
    return {"one_hot": one_hot, "tiny": tiny, "denormal": denormal, "nearly": nearly, "half": half}


EDGES = edge_cases()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("n", [1, 4, 6])
def test_edges_stay_finite(method, edge, n):
    attention = EDGES[edge]
    noise = np.random.default_rng(0).uniform(size=(1, n if method == "replacement" else 6)).astype("float32")
    noise = noise if method in STOCHASTIC_METHODS else None

    def total(a):
        return ops.sum(sample(a, n, method, noise=noise).weight * 3.0)

    value, [gradient] = value_and_gradients(total, attention)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("method", METHODS)
def test_surplus_draws_weigh_nothing(method):
    """A small biopsy: 3 possible cells, 5 draws."""
    attention = EDGES["half"]
    samples = sample(attention, 5, method, seed=0)
    drawn, weight = flat_index(samples, (6,)), np.asarray(samples.weight)
    assert ((drawn >= 0) & (drawn < 6)).all()
    assert (weight[np.asarray(samples.attention) == 0] == 0).all()
    assert weight.sum() == pytest.approx(1, rel=1e-6)
    if method == "replacement":
        assert (np.asarray(samples.attention) > 0).all()
    elif method != "exhaustive":
        assert np.count_nonzero(weight) == 3
        assert (weight[:, 3:] == 0).all()
    if method in ("priority", "topk"):
        np.testing.assert_array_equal(weight, samples.attention)  # all mass is drawn: exact


@pytest.mark.parametrize("method", METHODS)
def test_all_zero_attention_stays_finite(method):
    """What JointSoftmax makes of an empty mask."""
    value, [gradient] = value_and_gradients(
        lambda a: ops.sum(sample(a, 2, method, seed=0).weight), np.zeros((1, 6), "float32")
    )
    assert value == 0
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("method", METHODS)
def test_half_precision_is_computed_in_single(method):
    attention = probabilities(np.random.default_rng(0), (1, 300)).astype("float16")
    samples = sample(attention, 8, method, seed=0)
    assert keras.backend.standardize_dtype(samples.weight.dtype) == "float32"
    np.testing.assert_array_equal(samples.weight, sample(attention.astype("float32"), 8, method, seed=0).weight)


@pytest.mark.parametrize("method", METHODS)
def test_double_precision_is_kept(method):
    attention = probabilities(np.random.default_rng(0), (1, 30)).astype("float64")
    with double_precision():
        samples = sample(attention, 8, method, seed=0)
        assert keras.backend.standardize_dtype(samples.weight.dtype) == "float64"


@pytest.mark.parametrize("method", METHODS)
def test_compiles(method):
    attention = probabilities(np.random.default_rng(0), (2, 4, 4, 2))
    noise = np.random.default_rng(0).uniform(size=(2, 5 if method == "replacement" else 32)).astype("float32")
    noise = noise if method in STOCHASTIC_METHODS else None

    def draw(a):
        samples = sample(a, 5, method, noise=noise)
        return samples.index, samples.weight

    index, weight = compiled(draw)(attention)
    eager = sample(attention, 5, method, noise=noise)
    np.testing.assert_array_equal(index, eager.index)
    np.testing.assert_allclose(weight, eager.weight, rtol=1e-5)


@pytest.mark.needs_tensorflow
@pytest.mark.parametrize("method", METHODS)
def test_lattice_of_unknown_size(method):
    import tensorflow as tf

    spec = tf.TensorSpec((None, None, None, 2), tf.float32)

    @tf.function(input_signature=[spec])
    def draw(attention):
        samples = sample(attention, 4, method, seed=0)
        return samples.index, samples.attention, samples.weight

    for shape in ((2, 3, 4, 2), (1, 5, 2, 2), (3, 2, 1, 2)):
        attention = probabilities(np.random.default_rng(0), shape)
        index, drawn, weight = (np.asarray(x) for x in draw(attention))
        assert index.shape == (shape[0], np.prod(shape[1:]) if method == "exhaustive" else 4, 3)
        gathered = np.stack([attention[b][tuple(i.T)] for b, i in enumerate(index)])
        np.testing.assert_array_equal(gathered, drawn)
        np.testing.assert_allclose(weight.sum(axis=1), 1, rtol=1e-5)


# Errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_samples": 2, "method": "systematic"}, "one of .* Received: method='systematic'"),
        ({"n_samples": 0}, "at least 1. Received: n_samples=0"),
        ({"n_samples": 2.0}, "integer"),
        ({"n_samples": True}, "integer"),
        ({"n_samples": None}, "integer"),
        ({"n_samples": 5}, "n_samples=5 patches cannot be drawn from a lattice of 4 cells"),
        ({"n_samples": 5, "method": "replacement"}, "lattice of 4 cells"),
        ({"n_samples": 2, "noise": np.zeros((1, 2))}, r"shape \(B, 4\). Received: shape \(1, 2\)"),
        ({"n_samples": 2, "noise": np.zeros(4)}, "noise"),
        ({"n_samples": 2, "method": "replacement", "noise": np.zeros((1, 4))}, r"shape \(B, 2\)"),
        ({"n_samples": 2, "method": "topk", "noise": np.zeros((1, 4))}, "takes no noise"),
        ({"n_samples": 2, "method": "exhaustive", "noise": np.zeros((1, 4))}, "takes no noise"),
    ],
)
def test_impossible_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        sample(A[None], **arguments)


def test_attention_needs_a_lattice():
    with pytest.raises(ValueError, match="Received: shape"):
        sample(A, 2)


def test_weights_of_unknown_methods_and_without_a_threshold():
    with pytest.raises(ValueError, match="Received: method='other'"):
        sample_weights(A[None], "other")
    with pytest.raises(ValueError, match="threshold"):
        sample_weights(A[None], "priority")
