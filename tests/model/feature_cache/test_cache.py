"""A model with a cache of features finds what it finds without, and reads and encodes less."""

import keras
import numpy as np
import pytest
from model.encoders.parity import VECTORS

import ats_mag

pytestmark = pytest.mark.needs_tensorflow

GATED = VECTORS / "timm-registers-embedded-p14"


@pytest.fixture
def made(build):
    """`made(**options)` -> a small classifier with a frozen transformer."""

    def make(**options):
        keras.utils.set_random_seed(5)
        encoder = ats_mag.encoder(GATED, 42, False, "cls")
        feature = ats_mag.AdaptedEncoder(encoder, ats_mag.adapter(encoder.output_shape[-1], 8, 16), 32)
        return build(feature=feature, normalize_features=False, **options)

    return make


def losses(model, batch, epochs=2):
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices(batch).batch(6)
    history = model.fit(data, epochs=epochs, shuffle=False, verbose=0, validation_data=data)
    return [history.history[name] for name in ("loss", "val_loss")]


def with_turns(noisy):
    inputs, labels = noisy
    turn = np.zeros((len(labels), 3), "int32")
    turn[:, 1:] = inputs["mask"].shape[1:]
    turn[:, 0] = [0, 2, 4, 6, 2, 0]
    return {**inputs, "turn": turn}, labels


@pytest.mark.parametrize(("memory", "parts"), [(3_000, 1), pytest.param(10**6, 2, marks=pytest.mark.long)])
def test_losses_are_equal(made, noisy, memory, parts, tmp_path):
    batch = with_turns(noisy)
    expected = losses(made(), batch)
    model = made(overlap=parts)
    model.feature_cache = cache = ats_mag.FeatureCache(model, memory, tmp_path / "features", 10**6)
    np.testing.assert_allclose(losses(model, batch), expected, rtol=1e-5)
    assert cache.bytes_used <= memory  # a part of it, where that is little; the file holds the rest
    assert cache.counts.asked == 2 * 2 * 6 * 6
    assert 0.3 < cache.counts.rate < 1
    assert cache.counts.seconds_saved > 0
    cache.close()
    again = ats_mag.FeatureCache(model, memory, tmp_path / "features", 10**6)
    assert again.entries_in_file > 30
    again.close()


@pytest.mark.long
def test_prediction_in_every_way_is_equal(made, noisy):
    inputs = noisy[0]
    plain, model = made(), made()
    model.feature_cache = ats_mag.FeatureCache(model, 10**7)
    for method in ("topk", "exhaustive"):
        plain.test_method = model.test_method = method
        for _ in range(2):
            np.testing.assert_allclose(model.predict_on_batch(inputs), plain.predict_on_batch(inputs), atol=1e-5)
    before = model.feature_cache.counts
    options = ats_mag.AdaptiveOptions(seed=1, block=4)
    slide = {name: value[:1] for name, value in inputs.items()}
    found, expected = (ats_mag.predict_adaptively(m, slide, options)[0] for m in (model, plain))
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-5)
    assert found.n_patches == expected.n_patches
    since = model.feature_cache.counts.since(before)
    assert since.asked == since.found == found.n_patches  # every cell was seen exhaustively


@pytest.mark.long
def test_models_of_other_magnifications_share_what_they_can(made, noisy, tmp_path):
    inputs = {name: value[:2] for name, value in noisy[0].items()}
    for number, magnifications in enumerate([("20x", "5x"), ("5x",), ("10x", "5x")]):
        model = made(magnifications=magnifications, test_method="exhaustive")
        expected = model.predict_on_batch(inputs)
        model.feature_cache = cache = ats_mag.FeatureCache(model, 10**7, tmp_path / "features", 10**7)
        np.testing.assert_allclose(model.predict_on_batch(inputs), expected, atol=1e-5)
        assert cache.counts.rate == [0, 1, 0.5][number]
        cache.close()


def test_changed_colours_pass_by(made, noisy):
    inputs, _ = noisy
    model = made()
    model.feature_cache = cache = ats_mag.FeatureCache(model, 10**7)
    colour = np.tile(np.asarray([1.2, 0.9, 1, 1, 1], "float32"), (6, 1))
    model.predict_on_batch({**inputs, "colour": colour})
    assert cache.counts.asked == 0


def test_keys_tell_slides_places_turns_and_encoders_apart(made):
    model, other = made(), made()
    other.feature.encoder.network.trainable = True
    other.feature.encoder.weights[0].assign(other.feature.encoder.weights[0] + 1)
    other.feature.encoder.network.trainable = False
    names = {"a": "1", "b": "2", "c": "1"}
    caches = [ats_mag.FeatureCache(m, 10**6, slides=names) for m in (model, other)]

    def keys(cache=caches[0], path="a", cell=(1, 2, 0), turn=0):
        found = cache.look_up(
            np.asarray([path.encode()], object), np.asarray([[cell]]), np.zeros((1, 5), "int64"), np.asarray([turn])
        )
        return found[2].tobytes()

    assert keys() == keys(path="c")
    found = [keys(), keys(path="b"), keys(cell=(2, 1, 0)), keys(cell=(1, 2, 1)), keys(turn=3), keys(caches[1])]
    assert len(set(found)) == len(found)
    with pytest.raises(FileNotFoundError):
        keys(path="no slide")


def test_the_bound_holds_under_500_slides(made, tmp_path):
    model = made()
    names = {str(i): str(i) for i in range(500)}
    cache = ats_mag.FeatureCache(model, 200_000, tmp_path / "f", 300_000, names)
    cells = np.stack(np.meshgrid(np.arange(8), np.arange(8), [0], indexing="ij"), -1).reshape(1, 64, 3)
    for name in names:
        where = (np.asarray([name.encode()], object), cells, np.zeros((1, 5), "int64"), np.zeros(1, "int32"))
        _, _, keys, start = cache.look_up(*where)
        vectors = np.full((64, cache.dimension), float(name), "float32")
        cache.keep(keys[0], vectors, np.ones(64, bool), start)
        known, found, _, _ = cache.look_up(*where)
        assert known.all()
        assert (found == float(name)).all()
        assert cache.bytes_used <= 200_000
    cache.close()
    assert (tmp_path / "f").stat().st_size <= 300_000


def test_only_a_frozen_encoder_can_be_cached(build):
    with pytest.raises(ValueError, match="AdaptedEncoder, frozen"):
        ats_mag.FeatureCache(build(), 10**6)


@pytest.mark.long
def test_an_export_without_the_encoder(made, tmp_path):
    import tensorflow as tf

    model = made()
    (folder,) = model.export(tmp_path / "served", include_encoder=False)
    assert folder.name == "served-stock"
    assert not (tmp_path / "served").exists()
    patches = np.random.default_rng(0).integers(0, 255, (1, 4, 32, 32, 3)).astype("uint8")
    weight = np.full((1, 4), 0.25, "float32")
    served = tf.saved_model.load(folder)
    encoded = model.feature.encode(patches[0])[None]
    found = served.signatures["classify"](encoded=encoded, weight=weight)["probabilities"]
    np.testing.assert_allclose(found, model.classify(model.features_of(patches), weight), atol=1e-6)
