"""Bias of every estimator by exact enumeration: of its value, its feature gradient and its logit gradient.

All ordered samples of a few cells, with their exact probabilities, stand in one batch. Whatever is linear in the
estimate then has its expectation computed, not sampled; for `priority` the threshold is integrated out as well.
"""

import itertools
import math

import numpy as np
import pytest
from backends import double_precision, value_and_gradients
from baseline import attention_gradient_of_02
from keras import ops

from ats_mag.layers.expectation import Expectation
from ats_mag.layers.joint_softmax import JointSoftmax
from ats_mag.sampling.weights import sample_weights

D = 3


def problem(k, sd, seed=0):
    """Logits, features and an upstream gradient of k cells."""
    rng = np.random.default_rng([seed, k])
    return rng.normal(size=k) * sd, rng.normal(size=(k, D)), rng.normal(size=D)


def softmax(logits):
    e = np.exp(logits - logits.max())
    return e / e.sum()


def exact(logits, features, upstream):
    """Value of the true expectation, and its gradients by the logits and the features."""
    a, scores = softmax(logits), features @ upstream
    return a @ scores, a * (scores - a @ scores), a[:, None] * upstream


def ordered_samples(a, n, replace):
    """Every ordered sample `(S, N)` and its probability `(S,)`."""
    k = len(a)
    draws = itertools.product(range(k), repeat=n) if replace else itertools.permutations(range(k), n)
    draws = np.array(list(draws))
    p = a[draws]
    if not replace:
        p = p / (1 - (np.cumsum(p, axis=1) - p))
    return draws, p.prod(axis=1)


def priority_samples(a, n, step=0.05):
    """Every set of n cells beside every threshold, with its probability.

    With v = exp(-threshold) a cell of probability a exceeds the threshold with probability 1 - exp(-a v), and the
    (n+1)-th largest, cell t, has the density a_t exp(-a_t v). In x = log v the integrand is analytic and decays at both
    ends, so that the trapezoidal rule is exact to rounding.
    """
    x = np.arange(-40, math.log(60 / a.min()), step)
    v = np.exp(x)
    above, below = -np.expm1(-a[:, None] * v), np.exp(-a[:, None] * v)
    draws, thresholds, weights = [], [], []
    for drawn in itertools.combinations(range(len(a)), n):
        rest = [k for k in range(len(a)) if k not in drawn]
        density = above[list(drawn)].prod(axis=0) * below[rest].prod(axis=0) * a[rest].sum() * v * step
        draws.append(np.tile(drawn, (len(v), 1)))
        thresholds.append(-x)
        weights.append(density)
    probability = np.concatenate(weights)
    return np.concatenate(draws), np.concatenate(thresholds)[:, None], probability


def expectation(logits, features, upstream, draws, probability, weigh, dtype="float64"):
    """Expected estimate and its gradients, by automatic differentiation through `weigh`."""

    def estimate(logits, features):
        a = ops.softmax(logits)
        weight = weigh(ops.take(a, draws))
        scores = ops.sum(features * upstream, axis=-1)
        return ops.sum(probability * ops.sum(weight * ops.take(scores, draws), axis=1))

    with double_precision():
        value, gradients = value_and_gradients(estimate, logits.astype(dtype), features.astype(dtype))
    return value, *gradients


def bias(found, truth):
    """Largest deviation, relative to the largest entry, over value and both gradients."""
    return max(np.abs(f - t).max() / np.abs(t).max() for f, t in zip(found, truth, strict=True))


CASES = [(k, n, sd) for k, n in [(3, 1), (4, 2), (5, 3), (6, 4), (4, 4)] for sd in (0.3, 3.0)]


@pytest.mark.parametrize(("k", "n", "sd"), CASES)
@pytest.mark.parametrize("method", ["replacement", "sequential"])
def test_unbiased_in_double_precision(method, k, n, sd):
    logits, features, upstream = problem(k, sd)
    draws, probability = ordered_samples(softmax(logits), n, replace=method == "replacement")
    assert probability.sum() == pytest.approx(1, abs=1e-12)
    found = expectation(logits, features, upstream, draws, probability, lambda a: sample_weights(a, method))
    for value, truth in zip(found, exact(logits, features, upstream), strict=True):
        np.testing.assert_allclose(value, truth, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("k", "n", "sd"), CASES)
@pytest.mark.parametrize("method", ["replacement", "sequential"])
def test_formulas_by_hand(method, k, n, sd):
    """The same without the package and without automatic differentiation."""
    logits, features, upstream = problem(k, sd)
    a, scores = softmax(logits), features @ upstream
    draws, probability = ordered_samples(a, n, replace=method == "replacement")
    drawn = a[draws]
    left = 1 - (np.cumsum(drawn, axis=1) - drawn)
    value = np.full(draws.shape, 1 / n) if method == "replacement" else (left + np.arange(n)[::-1] * drawn) / n
    assert (probability[:, None] * value * scores[draws]).sum() == pytest.approx(a @ scores, abs=1e-12)
    by_feature, by_attention = np.zeros(k), np.zeros(k)
    np.add.at(by_feature, draws, probability[:, None] * value)
    np.add.at(by_attention, draws, probability[:, None] * value / drawn * scores[draws])
    np.testing.assert_allclose(by_feature, a, atol=1e-12)
    np.testing.assert_allclose(by_attention, scores, atol=1e-11)
    with double_precision():
        np.testing.assert_allclose(sample_weights(drawn, method), value, atol=1e-14)


@pytest.mark.parametrize(("k", "n"), [(2, 1), (4, 2), (5, 3), (6, 4)])
@pytest.mark.parametrize("sd", [0.3, 3.0])
def test_priority_is_unbiased_unless_normalized(k, n, sd):
    logits, features, upstream = problem(k, sd)
    draws, threshold, probability = priority_samples(softmax(logits), n)
    assert probability.sum() == pytest.approx(1, abs=1e-12)
    found = expectation(
        logits,
        features,
        upstream,
        draws,
        probability,
        lambda a: sample_weights(a, "priority", threshold, normalize=False),
    )
    for value, truth in zip(found, exact(logits, features, upstream), strict=True):
        np.testing.assert_allclose(value, truth, rtol=0, atol=1e-12)


@pytest.mark.parametrize("sd", [0.3, 1.0])
def test_bias_of_normalized_priority_shrinks_with_n(sd):
    logits, features, upstream = problem(6, sd)
    truth = exact(logits, features, upstream)
    biases = []
    for n in (1, 2, 3, 4, 5):
        draws, threshold, probability = priority_samples(softmax(logits), n)
        found = expectation(
            logits, features, upstream, draws, probability, lambda a, t=threshold: sample_weights(a, "priority", t)
        )
        biases.append(np.linalg.norm(found[1] - truth[1]) / np.linalg.norm(truth[1]))
    assert biases[0] == pytest.approx(1)  # one normalised weight is 1 whatever the attention: no gradient at all
    assert biases == sorted(biases, reverse=True)
    # About 1/N while the attention is diffuse.
    assert all(bias < 1.1 / n for n, bias in enumerate(biases, start=1))


def test_all_cells_drawn_is_exact():
    """With N = K nothing is left out: `priority` and `topk` weigh each cell by its probability."""
    a = softmax(problem(5, 1.0)[0])[None]
    with double_precision():
        for method, threshold in (("priority", np.full((1, 1), -np.inf)), ("topk", None), ("exhaustive", None)):
            np.testing.assert_allclose(sample_weights(a, method, threshold), a, atol=1e-15)


@pytest.mark.parametrize("method", ["replacement", "sequential", "priority"])
@pytest.mark.parametrize("sd", [0.3, 1.0, 3.0])
def test_layers_are_unbiased_in_single_precision(method, sd):
    """JointSoftmax, sample_weights and Expectation as a model runs them."""
    k, n = 6, 3
    logits, features, upstream = problem(k, sd)
    a = softmax(logits)
    threshold = None
    if method == "priority":
        draws, threshold, probability = priority_samples(a, n, step=0.25)
        reached = threshold[:, 0] > -math.log(1e6)  # below, float32 multiplies huge weights by tiny probabilities
        reached &= threshold[:, 0] < math.log(1e4)
        draws, threshold, probability = draws[reached], threshold[reached].astype("float32"), probability[reached]
    else:
        draws, probability = ordered_samples(a, n, replace=method == "replacement")
    probability = probability.astype("float32")
    softmax_layer, expectation_layer = JointSoftmax(), Expectation()

    def estimate(logits, features):
        attention = softmax_layer(ops.reshape(logits, (1, 1, 3, 2)))
        weight = sample_weights(ops.take(ops.reshape(attention, (k,)), draws), method, threshold, normalize=False)
        phi = expectation_layer([ops.take(features, draws, axis=0), weight])
        return ops.sum(ops.sum(probability[:, None] * phi, axis=0) * upstream.astype("float32"))

    value, gradients = value_and_gradients(estimate, logits.astype("float32"), features.astype("float32"))
    assert bias([value, *gradients], exact(logits, features, upstream)) < 1e-5


# attention-sampling 0.2


@pytest.mark.parametrize(
    ("k", "n", "sd", "at_least"), [(4, 2, 1.0, 0.3), (4, 3, 1.0, 0.5), (6, 4, 0.3, 0.3), (6, 4, 3.0, 0.9)]
)
def test_gradient_of_attention_sampling_02_is_biased(k, n, sd, at_least):
    """Its value and feature gradient equal those of `sequential`; the mean of its attention gradient is another."""
    logits, features, upstream = problem(k, sd)
    a = softmax(logits)
    truth = exact(logits, features, upstream)
    draws, probability = ordered_samples(a, n, replace=False)
    per_draw = attention_gradient_of_02(a[draws], features[draws], np.tile(upstream, (len(draws), 1)))
    by_attention = np.zeros(k)
    np.add.at(by_attention, draws, probability[:, None] * per_draw)
    by_logits = a * (by_attention - a @ by_attention)
    assert np.linalg.norm(by_logits - truth[1]) > at_least * np.linalg.norm(truth[1])

    ours = expectation(logits, features, upstream, draws, probability, lambda a: sample_weights(a, "sequential"))
    np.testing.assert_allclose(ours[1], truth[1], rtol=0, atol=1e-12)


def test_gradient_of_attention_sampling_02_can_point_the_wrong_way():
    """Features of equal norm, as the method wants them, and a confident attention."""
    rng = np.random.default_rng(0)
    cosines = []
    for _ in range(20):
        logits = rng.normal(size=6) * 3
        features = np.abs(rng.normal(size=(6, D)))
        features /= np.linalg.norm(features, axis=1, keepdims=True)
        upstream = rng.normal(size=D)
        a = softmax(logits)
        truth = exact(logits, features, upstream)[1]
        draws, probability = ordered_samples(a, 4, replace=False)
        by_attention = np.zeros(6)
        per_draw = attention_gradient_of_02(a[draws], features[draws], np.tile(upstream, (len(draws), 1)))
        np.add.at(by_attention, draws, probability[:, None] * per_draw)
        by_logits = a * (by_attention - a @ by_attention)
        cosines.append(by_logits @ truth / np.linalg.norm(by_logits) / np.linalg.norm(truth))
    assert np.median(cosines) < 0
    assert min(cosines) < -0.5
