"""Measures against values by hand and scikit-learn, what must not change them, and what they do where undefined."""

import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
from backends import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from ats_mag.evaluation.bootstrap import _measure, interval, resampled
from ats_mag.evaluation.calibration import EDGES, bin_sums, expected_calibration_error
from ats_mag.evaluation.intervals import measure_level
from ats_mag.evaluation.measures import measure_names, measures
from ats_mag.evaluation.scored_table import Scored, UndefinedMeasureWarning

ABC = ["a", "b", "c"]


def make(truth, probabilities, classes=ABC, patients=None, exclusive=True):
    """`truth`: class numbers, or 0/1 rows where not exclusive."""
    probabilities = np.asarray(probabilities, float).reshape(-1, len(classes))
    truth = np.asarray(truth)
    truth = np.arange(len(classes)) == truth[:, None] if exclusive else truth.astype(bool)
    patients = np.arange(len(truth)).astype(str) if patients is None else np.asarray(patients).astype(str)
    return Scored("test, slides", "slide", list(classes), truth, probabilities, patients, exclusive)


def simulate(seed, n=40, classes=ABC, exclusive=True, n_patients=15, digits=2):
    rng = np.random.default_rng(seed)
    patients = rng.integers(n_patients, size=n)
    if exclusive:
        truth = rng.integers(len(classes), size=n)
        p = rng.dirichlet(np.ones(len(classes)), size=n) + 0.3 * np.eye(len(classes))[truth]
        p = np.round(p / p.sum(1, keepdims=True), digits)  # rounded: equal scores are to be counted right
    else:
        truth = rng.integers(2, size=(n, len(classes)))
        p = np.round(0.3 * truth + 0.7 * rng.random((n, len(classes))), digits)
    return make(truth, p, classes, patients, exclusive)


def same(found, expected, tolerance=1e-12):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=tolerance, nan_ok=True), name


def test_values_by_hand():
    p = [[0.8, 0.2], [0.6, 0.4], [0.7, 0.3], [0.1, 0.9], [0.3, 0.7]]
    found = measures(make([0, 0, 1, 1, 0], p, ["no", "yes"]))
    # Of the 2 x 3 pairs of a "yes" (0.3, 0.9) and a "no" (0.2, 0.4, 0.7), 0.9 beats three and 0.3 beats one.
    assert [found[name] for name in ("auroc_yes", "auroc_no", "auroc")] == [pytest.approx(4 / 6)] * 3
    # Ranked 0.9 yes, 0.7 no, 0.4 no, 0.3 yes, 0.2 no: precision 1 at recall 1/2, 2/4 at recall 1.
    assert found["auprc_yes"] == pytest.approx((1 + 2 / 4) / 2)
    assert found["accuracy"] == pytest.approx(3 / 5)
    assert (found["recall_no"], found["recall_yes"]) == (pytest.approx(2 / 3), pytest.approx(1 / 2))
    assert found["balanced_accuracy"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert (found["f1_no"], found["f1_yes"]) == (pytest.approx(4 / 6), pytest.approx(2 / 4))
    # Confidences 0.8, 0.6, 0.7 (wrong), 0.9, 0.7 (wrong): 0.7 twice in one bin, the others alone in theirs.
    assert found["ece"] == pytest.approx((0.2 + 0.4 + 1.4 + 0.1) / 5)


@pytest.mark.parametrize("exclusive", [True, False])
def test_values_of_scikit_learn(exclusive):
    scored = simulate(1, 200, exclusive=exclusive)
    found = measures(scored)
    truth, p, predicted = scored.truth.astype(int), scored.probabilities, scored.predicted.astype(int)
    expected = {
        "auroc": metrics.roc_auc_score(truth, p, average="macro"),
        "auprc": metrics.average_precision_score(truth, p, average="macro"),
        "f1": metrics.f1_score(truth, predicted, average="macro"),
        "accuracy": metrics.accuracy_score(truth.argmax(1), predicted.argmax(1))
        if exclusive
        else (truth == predicted).mean(),
        "balanced_accuracy": metrics.recall_score(truth, predicted, average="macro")
        if exclusive
        else np.mean([metrics.balanced_accuracy_score(truth[:, c], predicted[:, c]) for c in range(3)]),
    }
    same({name: found[name] for name in expected}, expected)


def test_bins_are_open_below_and_closed_above():
    edge = EDGES[7]
    sums = bin_sums(make([[1], [0], [1], [1]], [[edge], [np.nextafter(edge, 1)], [0.0], [1.0]], ["a"], None, False))
    assert sums.sum(0)[:, 0].nonzero()[0].tolist() == [0, 6, 7, 14]


def test_calibrated_and_overconfident_models():
    rng = np.random.default_rng(0)
    p = rng.random(200_000)
    truth = rng.random(200_000) < p
    assert expected_calibration_error(make(truth.astype(int), np.stack([1 - p, p], 1), ["no", "yes"])) < 0.01
    sure = np.where(p > 0.5, 0.99, 0.01)
    # Right in 3 of 4 cases, sure of 99 of 100.
    found = expected_calibration_error(make(truth.astype(int), np.stack([1 - sure, sure], 1), ["no", "yes"]))
    assert found == pytest.approx(0.24, abs=0.005)


@settings(max_examples=examples(40), deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 25), st.booleans(), st.sampled_from([2, 3]))
def test_resamples_have_the_measures_of_the_rows_that_they_stand_for(seed, n, exclusive, n_classes):
    scored = simulate(seed, n, ABC[:n_classes], exclusive, n_patients=6, digits=1)
    times = np.random.default_rng(seed).integers(3, size=n)
    times[0] += 1
    found = _measure(scored, np.array([times, np.ones(n)], float))
    again = np.repeat(np.arange(n), times)
    drawn = replace(
        scored, truth=scored.truth[again], probabilities=scored.probabilities[again], patients=scored.patients[again]
    )
    for i, expected in enumerate((drawn, scored)):
        same({name: found[name][i] for name in measure_names(scored.classes)}, measures(expected, warn=False))


@settings(max_examples=examples(25), deadline=None)
@given(st.integers(0, 10**6), st.booleans(), st.randoms(use_true_random=False))
def test_the_order_of_rows_and_of_classes_changes_nothing(seed, exclusive, random):
    scored = simulate(seed, 30, exclusive=exclusive, digits=9)
    rows, columns = list(range(30)), list(range(3))
    random.shuffle(rows)
    random.shuffle(columns)
    names = [ABC[c] for c in columns]
    other = make(
        np.zeros(30, int) if exclusive else scored.truth[np.ix_(rows, columns)],
        scored.probabilities[np.ix_(rows, columns)],
        names,
        scored.patients[rows],
        exclusive,
    )
    other = replace(other, truth=scored.truth[np.ix_(rows, columns)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMeasureWarning)
        first, second = measure_level(scored, 50), measure_level(other, 50)
    for name, values in first["measures"].items():
        same(second["measures"][name], values)
    order = np.ix_(columns, columns) if exclusive else columns
    for key in ("counts", "share", "low", "high"):
        expected = np.array(first["confusion"][key])[order]
        np.testing.assert_allclose(second["confusion"][key], expected, atol=1e-12)


@settings(max_examples=examples(25), deadline=None)
@given(st.integers(0, 10**6), st.floats(0.2, 5))
def test_ranking_measures_ask_for_the_order_of_probabilities_only(seed, power):
    scored = simulate(seed, 40, exclusive=False)
    stretched = replace(scored, probabilities=scored.probabilities**power)
    first, second = measures(scored, warn=False), measures(stretched, warn=False)
    names = [name for name in first if name.startswith(("auroc", "auprc"))]
    same({name: second[name] for name in names}, {name: first[name] for name in names})


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    """Patients with several alike slides each: resampling slides instead of patients would give far too narrow intervals."""
    rng = np.random.default_rng(0)
    true_auroc = 0.7602  # of two normal distributions of variance 1, 1 apart: Phi(1 / sqrt(2))
    inside = {"patients": 0, "slides": 0}
    for _ in range(120):
        truth = np.repeat(rng.integers(2, size=60), 4)
        score = np.repeat(rng.normal(size=60), 4) + truth
        p = 1 / (1 + np.exp(-score))
        for unit, patients in (("patients", np.repeat(np.arange(60), 4)), ("slides", None)):
            scored = make(truth, np.stack([1 - p, p], 1), ["no", "yes"], patients)
            low, high, _ = interval(resampled(scored, 200)["auroc"], 0.95)
            inside[unit] += low <= true_auroc <= high
    assert 0.88 < inside["patients"] / 120 < 0.99
    assert inside["slides"] / 120 < 0.75


def test_an_interval_holds_the_stated_share_of_resamples():
    low, high, undefined = interval(np.array([np.nan, *np.arange(101.0)]), 0.9)
    assert (low, high, undefined) == (pytest.approx(5), pytest.approx(95), 1)
    low, high, undefined = interval(np.full((4, 2), np.nan), 0.9)
    assert np.isnan([low, high]).all()
    assert undefined.tolist() == [4, 4]


def test_an_absent_class_is_undefined_and_said_once():
    with pytest.warns(UndefinedMeasureWarning) as caught:
        found = measure_level(make([0, 0, 1, 1], [[0.6, 0.2, 0.2]] * 4), 100)
    (message,) = [str(w.message) for w in caught]
    assert "test, slides: undefined (NaN): auroc_c, auroc, auprc_c, auprc, recall_c" in message
    assert message.endswith("no slide is of class 'c'")
    values = {name: m["value"] for name, m in found["measures"].items()}
    assert {name for name, value in values.items() if math.isnan(value)} == {
        *("auroc", "auroc_c", "auprc", "auprc_c", "balanced_accuracy", "recall_c", "f1", "f1_c")
    }
    assert values["accuracy"] == 0.5
    assert found["measures"]["auroc_a"]["undefined_resamples"] > 0
    assert math.isnan(found["measures"]["auroc"]["low"])
    assert not math.isnan(found["measures"]["auroc_a"]["low"])


@pytest.mark.parametrize(
    ("truth", "p", "reason"),
    [
        ([0, 0, 0], [[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]], "every slide is of class 'no'"),
        ([], [], "there is no slide to measure"),
        ([1], [[0.4, 0.6]], "there is only one"),
    ],
)
def test_what_cannot_be_measured_is_named(truth, p, reason):
    with pytest.warns(UndefinedMeasureWarning) as caught:
        found = measure_level(make(np.array(truth, int), p, ["no", "yes"]), 50)
    assert any(reason in str(w.message) for w in caught)
    assert found["count"] == len(truth)
    assert np.sum(found["confusion"]["counts"]) == len(truth)
    assert math.isnan(found["measures"]["auroc"]["value"])
    assert math.isnan(found["measures"]["auroc"]["high"])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_not_measured(value):
    with pytest.raises(RuntimeError, match="probabilities of 1 of 2 slides are NaN or infinite: training has diverged"):
        make(np.array([0, 1]), [[value, value], [0.5, 0.5]], ["no", "yes"])


def test_every_slide_of_every_class_with_several_labels():
    with pytest.warns(UndefinedMeasureWarning, match="every slide is of class 'a'"):
        found = measures(make([[1, 0], [1, 1]], [[0.9, 0.1], [0.8, 0.7]], ["a", "b"], None, False))
    assert math.isnan(found["balanced_accuracy"])
    assert found["recall_a"] == found["f1"] == 1


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match=r"shape \(rows, classes\) = \(2, 3\)"):
        replace(make([0, 1], np.full((2, 3), 1 / 3)), probabilities=np.ones((2, 2)))
