"""The same model trains in every mode of Keras, and to the same losses."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ats_mag.model.forward_pass import WHOLE
from ats_mag.sampling.regularizers import MagnificationEntropy, PlaceEntropy


def tensors(inputs):
    return {name: tf.convert_to_tensor(value) for name, value in inputs.items()}


def losses(model, inputs, labels, batch_size=6, epochs=2):
    return model.fit(inputs, labels, batch_size=batch_size, epochs=epochs, shuffle=False, verbose=0).history["loss"]


def test_eager_and_graph_agree_and_learn(build, noisy):
    inputs, labels = noisy
    steady = {
        "regularizers": [PlaceEntropy(0.03), MagnificationEntropy(0.3)]
    }  # what is let go would be missing from the loss
    graph = losses(build(**steady), inputs, labels)
    eager = losses(build(run_eagerly=True, **steady), inputs, labels)
    np.testing.assert_allclose(graph, eager, rtol=1e-4)
    assert graph[-1] < graph[0]


@pytest.mark.graphs
def test_a_step_is_traced_once(build, noisy, monkeypatch):
    traced = []
    model = build()
    model.compile("adam")  # has variables of its own
    step = model.train_step
    monkeypatch.setattr(model, "train_step", lambda data: traced.append(None) or step(data))
    losses(model, *noisy)
    assert len(traced) == 1


def test_jit_compile_is_declined_not_broken(build, noisy):
    inputs, labels = noisy
    with pytest.warns(UserWarning, match="jit_compile"):
        model = build(jit_compile=True)
    np.testing.assert_allclose(losses(model, inputs, labels), losses(build(), inputs, labels), rtol=1e-4)


@pytest.mark.long
def test_mirrored_strategy_gives_the_losses_of_one_device(build, noisy):
    inputs, labels = noisy
    alone = losses(build(), inputs, labels)
    cpus = tf.config.list_logical_devices("CPU")
    if len(cpus) < 2:
        pytest.fail("the tests' set-up makes two virtual CPUs")
    strategy = tf.distribute.MirroredStrategy([cpu.name for cpu in cpus[:2]])
    with strategy.scope():
        model = build()
    data = tf.data.Dataset.from_tensor_slices((inputs, labels)).batch(6)
    mirrored = model.fit(data, epochs=2, shuffle=False, verbose=0).history["loss"]
    np.testing.assert_allclose(mirrored, alone, rtol=1e-4)


@pytest.mark.long
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(build, noisy, policy):
    inputs, labels = noisy
    keras.mixed_precision.set_global_policy(policy)
    try:
        model = build()
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert model.feature.layers[-4].compute_dtype == policy.removeprefix("mixed_")
    history = losses(model, inputs, labels)
    assert np.isfinite(history).all()
    np.testing.assert_allclose(history[0], losses(build(), inputs, labels)[0], rtol=2e-2)
    assert model.predict(inputs, verbose=0).dtype == np.float32


def test_exploration_draws_uniformly_then_ends(build, noisy):
    inputs, labels = noisy
    model = build(explore_steps=2, regularizers=[])
    with pytest.warns(UserWarning, match="no attention was learnt"):
        losses(model, inputs, labels, epochs=2)
    assert int(model.step) == 2
    before = model.attention.get_weights()
    losses(model, inputs, labels, epochs=1)
    assert any((a != b).any() for a, b in zip(before, model.attention.get_weights(), strict=True))


def test_a_held_attention_stays_while_the_rest_learns(build, noisy):
    inputs, labels = noisy
    model = build(hold_steps=2)
    before = [network.get_weights() for network in (model.attention, model.feature)]
    losses(model, inputs, labels, epochs=2)
    after = [network.get_weights() for network in (model.attention, model.feature)]
    for a, b in zip(before[0], after[0], strict=True):
        np.testing.assert_array_equal(a, b)
    assert any((a != b).any() for a, b in zip(before[1], after[1], strict=True))
    losses(model, inputs, labels, epochs=1)
    assert any((a != b).any() for a, b in zip(before[0], model.attention.get_weights(), strict=True))


def test_a_training_that_only_explored_is_warned_of(build, noisy):
    inputs, labels = noisy
    with pytest.warns(UserWarning, match="no attention was learnt"):
        losses(build(explore_steps=5), inputs, labels, epochs=1)


def test_exploration_sends_the_task_no_gradient_to_the_attention(build, noisy):
    inputs, labels = noisy
    model = build(explore_steps=1, regularizers=[])
    before = model.attention.get_weights()
    with pytest.warns(UserWarning, match="no attention was learnt"):
        losses(model, inputs, labels, epochs=1)
    for a, b in zip(before, model.attention.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_auxiliary_loss_is_added_once_per_magnification(build, noisy):
    inputs, labels = noisy
    plain, double = (build(auxiliary=a) for a in (0.5, 1.0))
    inputs = tensors(inputs)

    def values(model):
        found = model(inputs, training=True, part=WHOLE)
        task = keras.losses.sparse_categorical_crossentropy(labels, found.probabilities)
        auxiliary = [keras.losses.sparse_categorical_crossentropy(labels, p) for p in found.auxiliary]
        regularisation = sum(model.losses)
        return (
            model.compute_loss(inputs, labels, found),
            np.mean(task),
            np.mean(auxiliary, axis=1),
            regularisation,
        )

    for model, weight in ((plain, 0.5), (double, 1.0)):
        loss, task, auxiliary, regularisation = values(model)
        assert len(auxiliary) == 2
        np.testing.assert_allclose(loss, task + weight * sum(auxiliary) + regularisation, rtol=1e-5)


def test_regularisers_count_while_training_only(build, noisy):
    inputs, labels = noisy
    model = build()
    found = model.evaluate(inputs, labels, verbose=0, return_dict=True)
    assert found["loss"] == pytest.approx(found["cross_entropy"], rel=1e-5)
    for layer in model.regularizers:
        layer.regularizer.strength.assign(100.0)
    assert model.evaluate(inputs, labels, verbose=0, return_dict=True) == found
    logs = model.fit(inputs, labels, batch_size=6, verbose=0).history
    assert abs(logs["loss"][0] - logs["cross_entropy"][0]) > 10


def test_a_pass_without_a_loss_leaves_nothing_to_the_next(build, noisy):
    inputs, labels = noisy
    model = build()
    expected = model.evaluate(inputs, labels, batch_size=6, verbose=0)
    model(tensors(inputs), training=True)
    model.make_test_function(force=True)
    np.testing.assert_allclose(model.evaluate(inputs, labels, batch_size=6, verbose=0), expected, rtol=1e-6)


def test_metrics_of_the_attention_are_reported(build, noisy):
    inputs, labels = noisy
    history = build().fit(inputs, labels, verbose=0).history
    assert history["mass_0.5"][0] + history["mass_2"][0] == pytest.approx(1, abs=1e-5)
    assert history["attention_entropy"][0] > 0


@pytest.mark.parametrize(("head", "classes"), [("binary", ["a", "b"]), ("multi_label", ["a", "b", "c"])])
def test_other_heads(build, noisy, head, classes):
    inputs, labels = noisy
    labels = labels % 2 if head == "binary" else np.eye(3, dtype="float32")[labels]
    model = build(classes, head=head)
    found = losses(model, inputs, labels)
    assert np.isfinite(found).all()
    logs = model.evaluate(inputs, labels, verbose=0, return_dict=True)
    assert logs["loss"] == pytest.approx(logs["cross_entropy"], rel=1e-5)
    if head == "binary":  # labels (B,) or (B, 1)
        np.testing.assert_allclose(losses(build(classes, head=head), inputs, labels[:, None]), found, rtol=1e-5)
    assert model.predict(inputs, verbose=0).shape == (6, 1 if head == "binary" else 3)


def test_unreadable_slides_have_weight_zero_and_are_counted(build, noisy, tmp_path):
    from ats_mag.slides.paths import encode_paths

    inputs, labels = noisy
    path = inputs["path"].copy()
    missing = encode_paths([str(tmp_path / "missing.tif")])[0]
    path[1] = 0
    path[1, : min(len(missing), path.shape[1])] = missing[: path.shape[1]]
    model = build(on_error="fill")
    logs = model.fit({**inputs, "path": path}, labels, batch_size=6, verbose=0).history
    assert logs["unreadable"] == [6]
    looked = model.inspect({**inputs, "path": path}, method="topk")
    assert (looked.weight[1] == 0).all()
    assert (looked.weight[0] > 0).all()
