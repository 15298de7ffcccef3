"""Adaptive prediction of slides: with a model, with its export, through `Predictor`."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from ats_mag.model.adaptive.bounds import score_range
from ats_mag.model.adaptive.options import AdaptiveOptions
from ats_mag.model.adaptive.predict import predict_adaptively
from ats_mag.model.built_in_networks import feature_network
from ats_mag.model.slide_inputs import slide_inputs
from ats_mag.prediction.predictor import Predictor


@pytest.fixture(scope="module")
def slide(cohort):
    return str(cohort / "slides" / "s1.tif")


@pytest.fixture
def sure(build):
    """`sure(**options)` -> a model with scores that differ."""

    def make(*arguments, **options):
        model = build(*arguments, **options)
        rng = np.random.default_rng(1)
        model.head.kernel.assign(rng.normal(0, 2, model.head.kernel.shape))
        return model

    return make


def inputs_of(model, *slides):
    return slide_inputs(slides, model.lattice.overview_mpp, model.overview_multiple)


def exact(model, inputs):
    return np.asarray(model.classify_exhaustively(inputs, model.attend(inputs)))


def counted(model):
    """Counts the patches that the reader gives."""
    counts, read_cells = [], model.reader.read_cells

    def count(lattice, path, index, geometry):
        counts.append(index.shape[1])
        return read_cells(lattice, path, index, geometry)

    model.reader.read_cells = count
    return counts


def test_everything_read_is_exact_and_counted(sure, slide):
    model = sure()
    inputs = inputs_of(model, slide)
    counts = counted(model)
    found = predict_adaptively(model, inputs, AdaptiveOptions(min_patches=10**6, block=50))[0]
    cells = int((np.asarray(model.attend(inputs)) > 0).sum())
    assert found.reason == "exhausted"
    assert found.n_patches == cells == sum(counts)
    assert cells % 50
    np.testing.assert_allclose(found.probabilities, exact(model, inputs)[0], atol=1e-5)
    np.testing.assert_allclose(found.low, found.probabilities)
    np.testing.assert_allclose(found.high, found.probabilities)


@pytest.mark.parametrize(
    "options", [{}, {"block": 3}, {"first": 5}, {"max_patches": 7}, {"min_patches": 30, "block": 8}]
)
def test_what_is_read_is_what_was_needed(sure, slide, options):
    model = sure()
    inputs = inputs_of(model, slide)
    counts = counted(model)
    chosen = AdaptiveOptions(**options, seed=4)
    found = predict_adaptively(model, inputs, chosen)[0]
    assert found.n_patches == sum(counts)
    assert max(counts) == chosen.block
    truth = exact(model, inputs)[0]
    if found.reason == "max_patches":
        assert found.n_patches == 7
    else:
        assert found.reason == "decided"
        assert chosen.min_patches <= found.n_patches < 500
        assert found.probabilities.argmax() == truth.argmax()
    assert (found.low <= truth).all()  # for this seed; all of them hold with a probability of 0.95
    assert (truth <= found.high).all()
    assert (found.score_low < found.score_high).all()
    again = predict_adaptively(model, inputs, chosen)[0]
    np.testing.assert_array_equal(again.scores, found.scores)


def test_a_batch_is_its_slides(sure, cohort):
    model = sure()
    inputs = inputs_of(model, *(str(cohort / "slides" / f"s{i}.tif") for i in (0, 5)))
    noise = np.random.default_rng(0).random((2, np.prod(model.attend(inputs).shape[1:])), dtype="float32")
    both = predict_adaptively(model, inputs, AdaptiveOptions(), noise)
    for i in range(2):
        one = {name: value[i : i + 1] for name, value in inputs.items()}
        alone = predict_adaptively(model, one, AdaptiveOptions(), noise[i : i + 1])[0]
        assert alone.n_patches == both[i].n_patches
        np.testing.assert_allclose(alone.scores, both[i].scores, atol=1e-5)


@pytest.mark.long
def test_the_exported_model_does_the_same(sure, slide, tmp_path):
    model = sure(["no", "yes"], head="binary")
    model.save(tmp_path / "m.keras")
    folder, _ = model.export(tmp_path / "exported")
    options = AdaptiveOptions(confidence=0.9, min_patches=2, max_patches=19, block=3, first=2, seed=5)
    here, there = (Predictor(path, options).predict(slide) for path in (tmp_path / "m.keras", folder))
    assert (here.n_patches, here.reason) == (there.n_patches, there.reason)
    for name in ("probabilities", "low", "high", "score_low", "score_high"):
        np.testing.assert_allclose(getattr(there, name), getattr(here, name), atol=1e-4, err_msg=name)
    assert list(there.columns()) == [
        "p_no",
        "p_yes",
        "low_no",
        "high_no",
        "low_yes",
        "high_yes",
        "n_patches",
        "stopped",
    ]
    assert (there.low <= there.high).all()
    np.testing.assert_allclose(there.low[::-1], 1 - there.high, atol=1e-6)
    serve = tf.saved_model.load(str(folder)).signatures["adaptive"]
    given = {
        name: tf.constant(value) for name, value in {"min_patches": 1, "max_patches": 4, "block": 4, "first": 0}.items()
    }
    mpp = tf.constant(0.5, tf.float64)
    paths = tf.constant([slide, slide, slide])
    found = serve(path=paths, slide_mpp=mpp, confidence=tf.constant(0.9999), seed=tf.constant(-1), **given)
    assert len({tuple(row) for row in found["score"].numpy()}) == 3  # other draws for each
    np.testing.assert_array_equal(found["n_patches"], 4)


def test_every_slide_has_a_seed_of_its_own():
    options = AdaptiveOptions(seed=7)
    seeds = {options.for_slide(name).seed for name in ("a.svs", "b.svs", "c.svs")}
    assert len(seeds) == 3
    assert options.for_slide("a.svs") == options.for_slide("a.svs") != AdaptiveOptions(seed=8).for_slide("a.svs")
    assert AdaptiveOptions().for_slide("a.svs").seed is None


@pytest.mark.long
def test_features_need_a_bound(build, slide, tmp_path):
    network = feature_network(32, 16, (8, 16))
    tail = keras.Model(network.inputs, layers.Dense(16)(network.outputs[0]))
    model = build(normalize_features=False, feature=tail)
    with pytest.raises(ValueError, match="normalize_features=True"):
        predict_adaptively(model, inputs_of(model, slide), AdaptiveOptions())
    model.save(tmp_path / "m.keras")
    folder, _ = model.export(tmp_path / "exported")
    for path, message in ((tmp_path / "m.keras", "normalize_features"), (folder, "have no bound")):
        assert Predictor(path).predict(slide).reason is None
        with pytest.raises(ValueError, match=message):
            Predictor(path, AdaptiveOptions())


@pytest.mark.parametrize("normalize", [True, False])
def test_the_range_holds_every_feature_and_is_reached(build, normalize):
    """Inputs of the last layer that drive it to its bound, and many others."""
    model = build(normalize_features=normalize)
    last = model.feature.layers[-1]
    rng = np.random.default_rng(0)
    if not normalize:
        last.gamma.assign(rng.normal(size=16))
        last.beta.assign(rng.normal(size=16))
    direction = rng.normal(size=(16, 3)).astype("float32")
    low, high = (np.asarray(bound) for bound in score_range(model, direction))
    pull = direction if normalize else direction * last.gamma.numpy()[:, None]
    before = np.concatenate([rng.normal(size=(500, 16)), 1e3 * pull.T, -1e3 * pull.T]).astype("float32")
    features = np.asarray(model.normalization(before) if normalize else last(before)) @ direction
    assert (features <= high + 1e-3).all()
    assert (features >= low - 1e-3).all()
    np.testing.assert_allclose(features.max(axis=0), high, rtol=1e-3)
    np.testing.assert_allclose(features.min(axis=0), low, rtol=1e-3)
    assert (low <= 0).all()
    assert (high >= 0).all()


def test_unreadable_patches_count_as_in_the_exhaustive_prediction(sure, slide, monkeypatch):
    model = sure(on_error="fill")
    read = model.read

    def fail_some(inputs, index):
        patches, _ = read(inputs, index)
        return patches, np.asarray(index)[..., 0] % 3 != 0

    monkeypatch.setattr(model, "read", fail_some)
    inputs = inputs_of(model, slide)
    found = predict_adaptively(model, inputs, AdaptiveOptions(min_patches=10**6, block=64))[0]
    np.testing.assert_allclose(found.probabilities, exact(model, inputs)[0], atol=1e-5)


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ({"confidence": 1.0}, "confidence"),
        ({"min_patches": 0}, "min_patches"),
        ({"min_patches": 9, "max_patches": 8}, "max_patches"),
        ({"block": 0}, "block"),
        ({"first": -1}, "first"),
        ({"seed": -1}, "seed"),
    ],
)
def test_options_that_make_no_sense(wrong, name):
    with pytest.raises(ValueError, match=name):
        dataclasses.replace(AdaptiveOptions(), **wrong)
