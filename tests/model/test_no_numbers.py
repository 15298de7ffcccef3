"""Losses and predictions that are no numbers are failures, wherever they come up."""

import numpy as np
import pytest

import ats_mag
from ats_mag.prediction.predictor import Predictor

pytestmark = pytest.mark.needs_tensorflow

LOST = r"weight '.*kernel' is not finite, as training has diverged"


@pytest.fixture(params=["feature", "logits"])
def lost(build, request):
    """A model of which one weight is NaN: of what encodes patches, or of what attends."""
    model = build()
    layer = model.feature.layers[2] if request.param == "feature" else model.attention.get_layer("logits")
    kernel = np.array(layer.kernel)
    kernel.flat[0] = np.nan
    layer.kernel.assign(kernel)
    return model


@pytest.fixture
def two(batch):
    return {name: value[:2] for name, value in batch[0].items()}, batch[1][:2]


def test_every_way_of_using_it_says_so(lost, two, cohort, tmp_path):
    inputs, labels = two
    slide = cohort / "slides" / "s0.tif"
    with pytest.raises(RuntimeError, match=r"probabilities of 2 of 2 slides, the first of number 0: the " + LOST):
        lost.predict(inputs, verbose=0)
    with pytest.raises(RuntimeError, match=r"s0\.tif.*" + LOST):
        lost.predict_slides(slide)
    with pytest.raises(RuntimeError, match="loss is nan: the " + LOST):
        lost.evaluate(inputs, labels, verbose=0)
    with pytest.raises(RuntimeError, match=LOST):
        lost.inspect(inputs)
    with pytest.raises(RuntimeError, match=LOST):
        ats_mag.predict_adaptively(lost, inputs, ats_mag.AdaptiveOptions())
    with pytest.raises(RuntimeError, match=LOST):
        lost.export(tmp_path / "exported")
    assert not (tmp_path / "exported").exists()
    lost.save(tmp_path / "m.keras")
    with pytest.raises(RuntimeError, match=LOST):
        Predictor(tmp_path / "m.keras")(slide)


def test_training_ends_with_the_epoch(build, two):
    model = build()
    model.optimizer.learning_rate = 1e30
    epochs = []
    with pytest.raises(RuntimeError, match=r"loss is (nan|inf)"):
        model.fit(*two, epochs=20, verbose=0, callbacks=[_Count(epochs)])
    assert len(epochs) < 20
    with pytest.raises(RuntimeError, match="val_loss is nan"):
        build().check_losses({"loss": 1.0, "val_loss": float("nan")})


def test_weights_may_be_finite_and_what_is_computed_from_them_not(build, two):
    model = build()
    signs = np.random.default_rng(0).choice([-1.0, 1.0], model.head.kernel.shape)
    model.head.kernel.assign(3e38 * signs)
    model.head.bias.assign(np.full(3, 3e38))
    with pytest.raises(RuntimeError, match="all weights are finite, so what is computed from them overflows"):
        model.predict(two[0], verbose=0)


def _Count(epochs):
    import keras

    return keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: epochs.append(epoch))
