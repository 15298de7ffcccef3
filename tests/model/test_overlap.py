"""A training step in parts finds what the step on the whole batch finds."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ats_mag.model.training_step import training_step
from ats_mag.sampling.regularizers import MagnificationEntropy, PlaceEntropy


def trained(model, data, epochs=2, **options):
    """The history and the weights after training."""
    history = model.fit(data, epochs=epochs, shuffle=False, verbose=0, **options).history
    return history, {weight.path: np.array(weight) for weight in model.weights}


def batches(*arrays, size=6):
    """Batches of an unknown number of slides, as `dataset` makes them."""
    return tf.data.Dataset.from_tensor_slices(arrays).batch(size)


def assert_same(found, expected, rtol=1e-5):
    assert found[0].keys() == expected[0].keys()
    for name, values in found[0].items():
        np.testing.assert_allclose(values, expected[0][name], rtol=rtol, err_msg=name)
    for (path, a), b in zip(found[1].items(), expected[1].values(), strict=True):
        if "seed_generator" not in path:
            np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol, err_msg=path)


def stepped(model, data, epochs=2):
    """As `trained`, step by step and without graphs, which take seconds to trace."""
    model.optimizer.build(model.trainable_variables)
    history = []
    for _ in range(epochs):
        model.reset_metrics()
        for batch in data:
            logs = training_step(model, batch, model.step_parts)
        history.append({name: float(value) for name, value in logs.items()})
    logs = {name: [epoch[name] for epoch in history] for name in history[0]}
    return logs, {weight.path: np.array(weight) for weight in model.weights}


def both(build, data, parts=2, rtol=1e-5, **options):
    """Trains in one part and in several."""
    whole, split = build(overlap=1, **options), build(overlap=parts, **options)
    assert (whole.step_parts, split.step_parts) == (1, parts)
    found = stepped(split, data)
    assert_same(found, stepped(whole, data), rtol)
    return split, found


@pytest.mark.long
def test_single_label_with_exploration_and_batches_of_fewer_slides_than_parts(build, noisy):
    inputs, labels = noisy
    model, _ = both(build, batches(inputs, labels, size=4), 3, explore_steps=3)  # 4 slides, then 2
    assert int(model.step) == 4


@pytest.mark.long
def test_sample_weights_and_binary_labels(build, noisy):
    inputs, labels = noisy
    weights = np.array([1, 0, 2, 0.5, 1, 3], "float32")
    both(build, batches(inputs, labels % 2, weights), head="binary", classes=["a", "b"])


def test_multi_label_without_auxiliary_losses_and_with_unreadable_slides(build, noisy):
    inputs, labels = noisy
    path = inputs["path"].copy()
    path[1] = np.where(path[1] > 0, ord("x"), 0)
    data = batches({**inputs, "path": path}, np.eye(3, dtype="float32")[labels])
    _, (history, _) = both(build, data, head="multi_label", auxiliary=0.0, on_error="fill")
    assert history["unreadable"] == [6, 6]


@pytest.mark.long
def test_arrays_of_known_size(build, noisy):
    inputs, labels = noisy
    results = [trained(build(overlap=parts), inputs, y=labels, batch_size=6) for parts in (1, 4)]
    assert_same(results[1], results[0])


@pytest.mark.long
def test_loss_scaling(build, noisy):
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model, _ = both(build, batches(*noisy), rtol=5e-3)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)


@pytest.mark.long
def test_distribution_strategy(build, noisy):
    strategy = tf.distribute.MirroredStrategy([cpu.name for cpu in tf.config.list_logical_devices("CPU")[:2]])
    results = []
    for parts in (1, 2):
        with strategy.scope():
            model = build(overlap=parts)
        results.append(trained(model, batches(*noisy)))
    assert_same(results[1], results[0])


@pytest.mark.long
@pytest.mark.graphs
def test_a_read_waits_for_the_read_before_it_and_for_no_computing(build, noisy, monkeypatch):
    """In the traced step, what comes before the last read holds all reads, and nothing of the feature network."""
    model = build(overlap=3)
    graphs = []
    step = model.train_step
    monkeypatch.setattr(
        model, "train_step", lambda data: (step(data), graphs.append(tf.compat.v1.get_default_graph()))[0]
    )
    trained(model, batches(*noisy), epochs=1)
    operations = graphs[-1].get_operations()
    reads = [operation for operation in operations if operation.type == "AtsMagReadPatches"]
    assert len(reads) == 3
    before, queue = set(), [reads[-1]]
    while queue:
        operation = queue.pop()
        for earlier in [*(tensor.op for tensor in operation.inputs), *operation.control_inputs]:
            if earlier not in before:
                before.add(earlier)
                queue.append(earlier)
    assert set(reads[:2]) <= before
    assert not [operation.name for operation in before if "feature_network" in operation.name]


@pytest.mark.parametrize(
    ("options", "compiling", "parts"),
    [
        ({}, {}, 4),
        ({"overlap": 8}, {}, 8),
        ({"overlap": 8}, {"run_eagerly": True}, 1),
        ({"overlap": 8}, {"loss": keras.losses.SparseCategoricalCrossentropy(reduction="sum")}, 1),
        ({"regularizers": [MagnificationEntropy(0.1), PlaceEntropy(0.1)]}, {}, 4),
        ({"regularizers": [MagnificationEntropy(0.1, per="batch")]}, {}, 1),
        ({"regularizers": [keras.regularizers.L2(0.1)]}, {}, 1),
    ],
)
def test_batches_that_must_stay_whole(build, options, compiling, parts):
    model = build(**({"overlap": None} | options))
    model.compile("sgd", **compiling)
    assert model.step_parts == parts


def test_batch_normalisation_that_trains_keeps_the_batch_whole(build):
    feature = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.BatchNormalization(), keras.layers.Flatten()])
    model = build(feature=feature, overlap=4)
    assert model.step_parts == 1
    feature.layers[0].trainable = False
    assert model.step_parts == 4


def test_overlap_is_checked_and_saved(build):
    with pytest.raises(ValueError, match="overlap must be an integer"):
        build(overlap=0)
    assert build(overlap=3).get_config()["overlap"] == 3
