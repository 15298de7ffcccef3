"""Slides of which nothing can be read are as if they were not in their batch."""

import numpy as np
import pytest
import tensorflow as tf

BAD = [0, 2]
GOOD = [1, 3, 4, 5]


@pytest.fixture
def cohorts(noisy):
    """Six slides, two of which are missing, and the other four alone; inputs and labels of each."""
    inputs, labels = noisy
    path = inputs["path"].copy()
    path[BAD] = np.where(path[BAD] > 0, ord("x"), 0)
    alone = {name: value[GOOD] for name, value in inputs.items()}
    return ({**inputs, "path": path}, labels), (alone, labels[GOOD])


def compared(logs, expected):
    """Equal logs, but for what is counted of all slides."""
    assert {"loss", "accuracy", "cross_entropy"} <= set(logs)
    for name in ("loss", "accuracy", "cross_entropy"):
        np.testing.assert_allclose(logs[name], expected[name], rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("method", ["topk", "exhaustive"])
def test_evaluating(build, cohorts, method):
    """In one batch, and in batches of two, the first of which has as many missing as there are in the second none."""
    some, alone = cohorts
    model = build(on_error="fill", test_method=method, chunk=64)
    model.head.bias.assign([0.0, 2.0, -1.0])
    expected = model.evaluate(*alone, batch_size=4, verbose=0, return_dict=True)
    for batch_size in (6, 2, 1):
        logs = model.evaluate(*some, batch_size=batch_size, verbose=0, return_dict=True)
        compared(logs, expected)
        assert logs["unreadable"] > 0
    nothing = tuple(tf.nest.map_structure(lambda values: values[BAD], part) for part in some)
    assert model.evaluate(*nothing, verbose=0, return_dict=True)["loss"] == 0


@pytest.mark.parametrize(
    "options", [{}, pytest.param({"overlap": 3}, marks=pytest.mark.long), {"head": "multi_label", "auxiliary": 0.0}]
)
def test_training(build, cohorts, options):
    """The weights, too, with all regularisers; three parts have two slides each, one of them with a missing one."""
    results = []
    for inputs, labels in cohorts:
        labels = np.eye(3, dtype="float32")[labels] if "head" in options else labels
        model = build(on_error="fill", **options)
        results.append((model.fit(inputs, labels, batch_size=6, epochs=2, shuffle=False, verbose=0).history, model))
    (logs, model), (expected, other) = results
    compared(logs, expected)
    same_weights(model, other)


def same_weights(model, other):
    for a, b in zip(model.trainable_weights, other.trainable_weights, strict=True):
        np.testing.assert_allclose(np.array(a), np.array(b), rtol=1e-4, atol=1e-6, err_msg=a.path)


@pytest.mark.long
def test_two_devices(build, cohorts):
    """The first has three slides, two of them missing, the other three."""
    results = []
    for inputs, labels in cohorts:
        strategy = tf.distribute.MirroredStrategy([cpu.name for cpu in tf.config.list_logical_devices("CPU")[:2]])
        with strategy.scope():
            model = build(on_error="fill")
        data = tf.data.Dataset.from_tensor_slices((inputs, labels)).batch(6)
        results.append((model.fit(data, epochs=1, shuffle=False, verbose=0).history, model))
    compared(results[0][0], results[1][0])
    same_weights(results[0][1], results[1][1])
