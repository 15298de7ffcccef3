"""What a forward pass found reaches loss and metrics in its result."""

import keras
import numpy as np
import pytest

from ats_mag.model.forward_pass import WHOLE, ForwardPass, StepPart


def tensors(inputs):
    return {name: keras.ops.convert_to_tensor(value) for name, value in inputs.items()}


@pytest.mark.parametrize("on_error", ["raise", "fill"])
def test_a_step_is_given_the_whole_pass_and_a_user_the_probabilities(build, noisy, on_error):
    inputs = dict(noisy[0])
    if on_error == "fill":
        inputs["path"] = inputs["path"].copy()
        inputs["path"][1] = np.where(inputs["path"][1] > 0, ord("x"), 0)
    model = build(on_error=on_error)
    found = model(tensors(inputs), training=True, part=WHOLE)
    assert isinstance(found, ForwardPass)
    np.testing.assert_allclose(model(tensors(inputs), training=True), found.probabilities, atol=1e-6)
    attention = np.asarray(model.attend(tensors(inputs)))
    np.testing.assert_allclose(found.mass, attention.sum(axis=(1, 2)), atol=1e-6)
    entropy = -(attention * np.log(attention + 1e-9)).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(found.entropy, entropy, rtol=1e-4)
    assert [tuple(p.shape) for p in found.auxiliary] == [(6, 3)] * 2
    if on_error == "raise":
        assert found.readable is found.unreadable is None
        np.testing.assert_array_equal(found.patches, [6] * 6)
    else:
        np.testing.assert_array_equal(found.readable, [1, 0, 1, 1, 1, 1])
        np.testing.assert_array_equal(found.unreadable, [0, 6, 0, 0, 0, 0])
        np.testing.assert_array_equal(found.patches, [6, 0, 6, 6, 6, 6])


@pytest.mark.parametrize("training", [False, True])
def test_the_loss_is_that_of_the_probabilities_where_nothing_adds_to_it(build, noisy, training):
    inputs, labels = noisy
    model = build(auxiliary=0.0, regularizers=[])
    found = model(tensors(inputs), training=training, part=WHOLE)
    assert found.auxiliary == ()
    plain, whole = (model.compute_loss(inputs, labels, y, training=training) for y in (found.probabilities, found))
    np.testing.assert_array_equal(plain, whole)


def test_steps_hand_it_to_loss_and_metrics(build, noisy, monkeypatch):
    inputs, labels = noisy
    model, seen = build(overlap=2), []
    for name in ("compute_loss", "compute_metrics"):
        original = getattr(model, name)

        def spy(x, y, y_pred, *rest, name=name, original=original, **options):
            seen.append((name, type(y_pred)))
            return original(x, y, y_pred, *rest, **options)

        monkeypatch.setattr(model, name, spy)
    model.fit(inputs, labels, batch_size=6, verbose=0)
    of_parts = ["compute_loss", "compute_loss", "compute_metrics"]
    assert [name for name, kind in seen if kind is ForwardPass] == of_parts
    seen.clear()
    model.evaluate(inputs, labels, batch_size=6, verbose=0)
    assert [name for name, kind in seen if kind is ForwardPass] == of_parts[1:]


def test_only_the_last_part_of_a_step_counts_it(build, noisy):
    inputs = tensors(noisy[0])
    model = build(explore_steps=5)
    for part, steps in ((StepPart(last=False), 0), (WHOLE, 1), (None, 2)):
        model(inputs, training=True, part=part)
        assert int(model.step) == steps
    model(inputs)
    assert int(model.step) == 2


def test_a_classifier_that_has_nothing_to_learn_is_warned_of(build, noisy):
    model = build()
    model.trainable = False
    model.compile("sgd", jit_compile=False)
    with pytest.warns(UserWarning, match="does not have any trainable weights"):
        model.fit(*noisy, batch_size=6, verbose=0)
