"""The recipe: what changes over the steps of a training, whoever trains."""

import keras
import numpy as np
import pytest

from ats_mag.model.recipe import Recipe, batches_of
from ats_mag.sampling.regularizers import MagnificationEntropy, PlaceEntropy
from ats_mag.sampling.schedules import ScheduleStrength


def test_learning_rates():
    assert Recipe().rate(100) == 1e-3
    constant = Recipe(warmup=0.1).rate(100)
    cosine = Recipe(cosine=True, warmup=0.1).rate(100)
    plain = Recipe(cosine=True).rate(100)
    for schedule in (constant, cosine):
        rising = [float(schedule(step)) for step in range(11)]
        assert rising[0] > 0
        assert (np.diff(rising) > 0).all()
        assert rising[10] == pytest.approx(1e-3)
    assert float(constant(99)) == pytest.approx(1e-3)
    assert float(cosine(55)) == pytest.approx(0.5e-3)
    assert float(cosine(100)) == pytest.approx(0, abs=1e-9)
    assert float(plain(0)) == pytest.approx(1e-3)
    assert float(Recipe(cosine=True, lowest=0.02).rate(100)(100)) == pytest.approx(0.02e-3)
    schedule = keras.optimizers.schedules.ExponentialDecay(1.0, 1, 0.5)
    assert Recipe(schedule, warmup=0.5).rate(100) is schedule


def test_exploring_is_bounded_by_steps_and_by_their_share():
    assert [Recipe().explore(steps) for steps in (3, 100, 800, 5000)] == [0, 25, 200, 200]
    assert Recipe(explore_steps=50, explore_share=None).explore(10) == 50


def test_the_entropy_of_places_is_let_go_by_and_by():
    (callback,) = Recipe().callbacks(100, done=59)
    found = [float(callback.schedule(step)) for step in (0, 60, 61, 80, 81, 99)]
    np.testing.assert_allclose(found, [0.03, 0.03, 0.01, 0.01, 0.0, 0.0])
    assert callback.step == 59
    assert Recipe(place_entropy=(0.02,), sharpen_at=()).callbacks(100) == []
    places, magnifications = Recipe().regularizers()
    assert (float(places.strength), float(magnifications.strength)) == pytest.approx((0.03, 0.3))
    with pytest.raises(ValueError, match="place_entropy needs one strength more"):
        Recipe(place_entropy=(0.02,))


def test_features_that_are_known_need_no_entropies_but_a_start():
    recipe = Recipe.known(learning_rate=2e-3)
    assert (recipe.regularizers(), recipe.callbacks(100), recipe.explore(100)) == ([], [], 0)
    assert recipe.saliency > 0
    assert recipe.learning_rate == 2e-3
    assert [Recipe(hold=share).hold_steps(10) for share in (0.0, 0.21, 1.0)] == [0, 3, 10]
    assert Recipe().hold_steps(10) == 0


def test_a_strength_that_a_schedule_raises_later_has_its_regularizer():
    (places,) = Recipe.known(place_entropy=(0.0, 0.01), sharpen_at=(0.5,)).regularizers()
    assert isinstance(places, PlaceEntropy)
    (magnifications,) = Recipe.known(magnification_entropy=0.1).regularizers()
    assert isinstance(magnifications, MagnificationEntropy)


def test_the_optimizer_clips_and_accumulates():
    optimizer = Recipe(clip_norm=1.0, accumulate=3).optimizer(10)
    assert (optimizer.global_clipnorm, optimizer.clipnorm, optimizer.gradient_accumulation_steps) == (1.0, None, 3)
    optimizer = Recipe(clip_each=2.0).optimizer(10)
    assert (optimizer.global_clipnorm, optimizer.clipnorm, optimizer.gradient_accumulation_steps) == (None, 2.0, None)


def test_batches_of_an_epoch():
    x = {"a": np.zeros((7, 2)), "b": np.zeros(7)}
    assert batches_of(x, 3, None) == 3
    assert batches_of(x, None, None) == 1
    assert batches_of(x, 3, 5) == 5
    assert batches_of(x, 2, None, validation_split=0.5) == 2
    assert batches_of(iter([x]), None, None) is None


class Strengths(keras.callbacks.Callback):
    """The strength of `PlaceEntropy` in each step."""

    def on_train_begin(self, logs=None):
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        (strength,) = (
            r.regularizer.strength for r in self.model.regularizers if isinstance(r.regularizer, PlaceEntropy)
        )
        self.seen.append(float(strength))


@pytest.mark.needs_tensorflow
def test_fit_follows_the_recipe_unless_told_otherwise(build, noisy, monkeypatch):
    inputs, labels = noisy

    # Nothing is learnt here: what counts are the callbacks.
    def fit(model, x, y, batch_size=None, epochs=1, initial_epoch=0, callbacks=(), **options):
        every = keras.callbacks.CallbackList(list(callbacks), model=model)
        every.on_train_begin()
        for batch in range((epochs - initial_epoch) * 2):
            every.on_train_batch_begin(batch)
            every.on_train_batch_end(batch)

    monkeypatch.setattr(keras.Model, "fit", fit)
    watch = Strengths()
    options = {"batch_size": 3, "callbacks": [watch]}
    build().fit(inputs, labels, epochs=5, **options)
    np.testing.assert_allclose(watch.seen, [0.03] * 7 + [0.01] * 2 + [0.0])
    build().fit(inputs, labels, 3, 5, callbacks=[watch])
    np.testing.assert_allclose(watch.seen, [0.03] * 7 + [0.01] * 2 + [0.0])
    build().fit(inputs, labels, epochs=5, initial_epoch=4, **options)
    np.testing.assert_allclose(watch.seen, [0.01, 0.0])
    build().fit(inputs, labels, epochs=5, batch_size=3, callbacks=[watch, ScheduleStrength(lambda step: 0.5)])
    np.testing.assert_allclose(watch.seen, 0.5)
    own = build(regularizers=[PlaceEntropy(0.2), MagnificationEntropy(0.1)])
    own.fit(inputs, labels, epochs=5, **options)
    np.testing.assert_allclose(watch.seen, 0.2)
