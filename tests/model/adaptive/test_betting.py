"""Validity of the bets by exact enumeration: every order in which a few cells can be drawn, with its probability."""

import itertools

import numpy as np
import pytest
from backends import compiled, examples
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from ats_mag.model.adaptive.betting import bet, lower_limit, no_wealth, terms
from ats_mag.model.adaptive.hypotheses import hypotheses_of
from ats_mag.model.adaptive.predict import read_until_decided
from ats_mag.model.adaptive.reading_order import ReadingOrder, draw_order, estimate
from ats_mag.model.adaptive.stopping import Problem, contrasts, verdict
from ats_mag.model.heads import get_head


def orders(mass):
    """Every order of the cells, and its probability in weighted draws without replacement."""
    all_orders = np.array(list(itertools.permutations(range(len(mass)))))
    drawn = mass[all_orders]
    left = np.cumsum(drawn[:, ::-1], axis=1)[:, ::-1]
    return all_orders, (drawn / left).prod(axis=1)


def order_of(mass, cells):
    """The order of `cells` as `draw_order` gives it."""
    drawn = mass[cells].astype("float32")
    left = np.append(np.cumsum(drawn[::-1])[::-1], 0).astype("float32")
    key = np.arange(len(cells), 0, -1, dtype="float32")
    index = np.stack([cells, cells * 0, cells * 0], axis=1).astype("int32")
    return ReadingOrder(*map(ops.convert_to_tensor, (index, drawn, left, key, np.int32((drawn > 0).sum()))))


def instance(seed, k, c, sd=1.0, scale=1.0):
    """Masses `(k,)`, scores `(k, c)` of features of norm 1, and bounds of any such feature's."""
    rng = np.random.default_rng(seed)
    mass = np.exp(rng.normal(size=k) * sd)
    features = rng.normal(size=(k, 3))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    kernel = rng.normal(size=(3, c)) * scale
    return mass / mass.sum(), features, kernel


def problem_of(order, head, kernel, bias, alpha):
    rivals = hypotheses_of(get_head(head), kernel.shape[1])
    ranges = [
        np.linalg.norm(d, axis=0).astype("float32") for d in (kernel, contrasts(rivals, kernel.astype("float32")))
    ]
    bias = ops.convert_to_tensor(bias.astype("float32"))
    return Problem(order, rivals, bias, *((-r, r) for r in ranges), np.float32(alpha), 0)


@compiled
def _path(x, mass, left, low, shift, random):
    return bet(no_wealth(1, 1), terms(x, mass, left, ops.zeros(1), low, shift), random, 0.1)[1]


def ruling_out(problem):
    """Which hypotheses some bet has ruled out when all cells are drawn."""
    _, h, j = problem.hypotheses.direction.shape

    def gone(mass, left, scores):
        x, shift = contrasts(problem.hypotheses, scores), contrasts(problem.hypotheses, problem.bias[None])[0]
        found = terms(x, mass, left, ops.zeros(h * j), problem.contrast_range[0], shift)
        share = problem.alpha / problem.hypotheses.groups
        return bet(no_wealth(h, j), found, ops.ones(len(x), dtype="bool"), share)[0].gone

    return compiled(gone)


def paths(mass, x, low, shift, certain=0):
    """Log-wealth `(orders, k)` against "mu <= 0" for every order, and the orders' probabilities."""
    all_orders, probability = orders(mass)
    random = np.arange(len(mass)) >= certain
    one = [np.array([v], "float32") for v in (low, shift)]
    found = [
        _path(x[cells, None].astype("float32"), order_of(mass, cells).mass, order_of(mass, cells).left, *one, random)
        for cells in all_orders
    ]
    return np.stack(found)[..., 0], probability


@settings(max_examples=examples(12), deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([2, 3, 4]), st.sampled_from([0.2, 2.0]), st.floats(0, 0.5))
def test_the_wealth_against_a_true_hypothesis_is_a_supermartingale(seed, k, sd, below):
    mass, features, kernel = instance(seed, k, 1, sd)
    x = features @ kernel[:, 0]
    low = -np.linalg.norm(kernel)
    found, probability = paths(mass, x, low, -below - mass @ x)
    assert probability.sum() == pytest.approx(1)
    assert (probability @ np.exp(found) <= 1 + 1e-4).all()  # at every time
    for alpha in (0.02, 0.1, 0.3):
        ever = (found >= -np.log(alpha)).any(axis=1)
        assert probability @ ever <= alpha + 1e-6


def test_the_wealth_is_a_martingale_at_the_border_and_grows_beyond():
    """So the test above does not hold for want of bets."""
    mass, features, kernel = instance(3, 5, 1)
    x, low = features @ kernel[:, 0], -np.linalg.norm(kernel)
    at_border, probability = paths(mass, x, low, -mass @ x)
    np.testing.assert_allclose(probability @ np.exp(at_border), 1, atol=2e-3)
    assert np.exp(at_border).std() > 0.3
    beyond, _ = paths(mass, x, low, 0.8 - mass @ x)
    assert (np.diff(probability @ np.exp(beyond)) > 0).all()


def test_what_is_not_drawn_is_not_bet_on():
    mass, features, kernel = instance(3, 4, 1)
    x = features @ kernel[:, 0]
    found, _ = paths(mass, x, -np.linalg.norm(kernel), 0.5, certain=2)
    np.testing.assert_array_equal(found[:, :2], 0)
    assert (found[:, 2:] != 0).any()


@pytest.mark.parametrize(
    ("head", "c"),
    [
        ("single_label", 3),
        pytest.param("single_label", 4, marks=pytest.mark.long),
        ("binary", 1),
        pytest.param("multi_label", 2, marks=pytest.mark.long),
    ],
)
def test_what_is_true_is_ruled_out_with_probability_alpha_at_most(head, c):
    """Over all orders and at any time; with so little confidence that it does happen."""
    alpha, ever_wrong, ever_gone = 0.8, 0, 0
    for seed in range(examples(6)):
        mass, features, kernel = instance(seed, 5, c, 0.5, 3.0)
        scores = (features @ kernel).astype("float32")
        # All true scores lie close to each other and to 0, so that a class is easily mistaken.
        bias = np.linspace(0.01, 0.02, c) - mass @ scores
        all_orders, probability = orders(mass)
        example = problem_of(order_of(mass, all_orders[0]), head, kernel, bias, alpha)
        ruled_out = ruling_out(example)
        found = [order_of(mass, cells) for cells in all_orders]
        gone = np.array([ruled_out(o.mass, o.left, scores[cells]) for o, cells in zip(found, all_orders, strict=True)])
        true = np.asarray(example.hypotheses.standing((mass @ scores + bias).astype("float32")))
        wrong = gone[:, true].any(axis=1)
        assert probability @ wrong <= alpha
        ever_wrong += wrong.any()
        ever_gone += gone[:, ~true].any()
    assert ever_wrong
    assert ever_gone


def test_limits_miss_at_any_time_with_probability_alpha_at_most():
    limit = compiled(lambda x, mass, left, low: _limit(x, mass, left, low))
    ever_missed = ever_moved = 0
    for seed in range(4):
        mass, features, kernel = instance(seed, 4, 1)
        x, alpha = (features @ kernel).astype("float32"), 0.6
        mu, norm = mass @ x[:, 0], np.linalg.norm(kernel, axis=0).astype("float32")
        all_orders, probability = orders(mass)
        missed = []
        for cells in all_orders:
            order, here = order_of(mass, cells), x[cells]
            pairs = np.array([limit(here[:n], order.mass[:n], order.left[: n + 1], -norm) for n in (1, 2, 3)])[..., 0]
            assert (np.diff(pairs[:, 0]) > -1e-4).all()  # what was found once is kept
            missed.append(pairs[:, 0].max() > mu + 1e-4)
            ever_moved += (pairs[:, 0] > pairs[:, 1] + 1e-3).any()
        assert probability @ missed <= alpha
        ever_missed += any(missed)
    assert ever_missed
    assert ever_moved  # bets, and not only what is certain, raise it


def _limit(x, mass, left, low):
    """The limit, and what is certain anyway."""
    found = terms(x, mass, left, ops.zeros(1), low, ops.zeros(1))
    limit = lower_limit(found, -low, ops.ones(len(x), dtype="bool"), 0.6)
    return ops.stack([limit, ops.maximum(ops.max(found.certain, axis=0), low)])


def test_blocks_change_nothing_but_when_it_is_asked():
    mass, features, kernel = instance(1, 24, 3)
    scores = ops.convert_to_tensor((features @ kernel).astype("float32"))
    problem = problem_of(order_of(mass, np.arange(24)), "single_label", kernel, np.zeros(3), 0.05)
    results = []
    for block in (4, 8, 64):
        reading = read_until_decided(problem, lambda start, n: ops.slice(scores, (start, 0), (n, 3)), 20, 20, block)
        end = verdict(problem, reading)
        assert int(end.count) == 20
        results.append(
            [reading.wealth.wealth, reading.wealth.experts, reading.wealth.gone, end.scores, end.low, end.high]
        )
    for other in results[1:]:
        for found, expected in zip(other, results[0], strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-3)


@settings(max_examples=examples(15), deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([1, 5, 12]), st.integers(0, 4), st.floats(0, 4))
def test_the_order_is_of_all_cells_and_its_estimate_exact_at_the_end(seed, k, first, sd):
    rng = np.random.default_rng(seed)
    attention = np.exp(rng.normal(size=(1, k, 2, 1)) * sd).astype("float32")
    attention[0, : k // 2, 1] = 0
    attention /= attention.sum()
    order = draw_order(attention, rng.random((1, 2 * k), dtype="float32"), first)
    n = int(order.cells)
    index = np.asarray(order.index)
    assert n == (attention > 0).sum()
    assert len({tuple(cell) for cell in index}) == 2 * k
    mass = np.asarray(order.mass)
    np.testing.assert_array_equal(mass, attention[0][tuple(index.T)])
    assert (mass[:n] > 0).all()
    np.testing.assert_allclose(order.left, np.append(np.cumsum(mass[::-1])[::-1], 0), atol=1e-6)
    certain = min(first, n)
    assert mass[:certain].sum() == pytest.approx(np.sort(mass)[::-1][:certain].sum(), abs=1e-6)
    values = rng.normal(size=(2 * k, 3)).astype("float32")
    np.testing.assert_allclose(estimate(order, values, n), mass[:n] @ values[:n], atol=1e-5)
    for some in {1, n // 2 + 1, n}:  # whatever was read, it is a mean
        np.testing.assert_allclose(estimate(order, np.ones((2 * k, 1), "float32"), some), 1, atol=1e-4)


def test_the_order_is_that_of_the_sequential_draws():
    from ats_mag.sampling.draws import sample

    rng = np.random.default_rng(0)
    attention = rng.dirichlet(np.full(24, 0.5)).astype("float32").reshape(1, 3, 4, 2)
    noise = rng.random((1, 24), dtype="float32")
    drawn = sample(attention, 10, "sequential", noise=noise)
    np.testing.assert_array_equal(draw_order(attention, noise).index[:10], drawn.index[0])


def test_hypotheses_of_the_heads():
    single = hypotheses_of(get_head("single_label"), 3)
    scores = np.array([0.5, 2.0, 1.0], "float32")
    np.testing.assert_array_equal(single.standing(scores), [False, True, False])
    against = np.einsum("chj,c->hj", single.direction, scores)
    np.testing.assert_allclose(np.sort(against), [[0.5, 1.5], [-1.5, -1.0], [-0.5, 1.0]])
    multi = hypotheses_of(get_head("multi_label"), 2)
    np.testing.assert_array_equal(multi.standing(np.array([1.0, -1.0], "float32")), [False, True, True, False])
    np.testing.assert_allclose(np.einsum("chj,c->hj", multi.direction, [1, -1])[:, 0], [1, -1, -1, 1])
    assert (single.groups, multi.groups, hypotheses_of(get_head("binary"), 1).groups) == (1, 2, 1)


def test_equal_scores_and_a_class_without_weights():
    """Of equal scores none is ruled out before everything is read, and nothing becomes NaN where nothing can differ."""
    k = 12
    mass, features, kernel = instance(0, k, 3)
    for c, weights in ((0, kernel[:, [0, 0, 1]] * [1, 1, 0]), (1, kernel * 0)):
        scores = ops.convert_to_tensor((features @ weights).astype("float32"))
        bias = np.array([0.0, 0.0, -20.0])
        problem = problem_of(order_of(mass, np.arange(k)), "single_label", weights, bias, 0.01)
        reading = read_until_decided(problem, lambda start, n, x=scores: ops.slice(x, (start, 0), (n, 3)), 1, k, 2)
        end = verdict(problem, reading)
        assert int(end.count) == k, c
        assert np.isfinite(np.concatenate([end.scores, end.low, end.high])).all()
        np.testing.assert_array_equal(reading.wealth.gone, [False, False, True])


def test_one_cell():
    problem = problem_of(order_of(np.ones(1), np.arange(1)), "binary", np.ones((3, 1)), np.zeros(1), 0.05)
    reading = read_until_decided(problem, lambda start, n: ops.ones((n, 1)) * 0.3, 5, 10, 4)
    end = verdict(problem, reading)
    assert (int(end.count), int(end.reason)) == (1, 2)
    np.testing.assert_allclose([end.scores, end.low, end.high], 0.3, atol=1e-6)
