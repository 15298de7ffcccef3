import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import ats_mag
from ats_mag.model.built_in_networks import application_network, attention_network, feature_network
from ats_mag.model.classifier import SlideClassifier
from ats_mag.model.slide_inputs import slide_inputs


def tensors(inputs):
    return {name: keras.ops.convert_to_tensor(value) for name, value in inputs.items()}


def test_keras_round_trip(build, batch, tmp_path):
    inputs, _ = batch
    model = build()
    model.save(tmp_path / "m.keras")
    again = ats_mag.load_model(tmp_path / "m.keras")
    networks = ("attention", "feature")  # their own round trip is Keras' business
    plain, restored = ({k: v for k, v in m.get_config().items() if k not in networks} for m in (model, again))
    assert plain == restored
    np.testing.assert_allclose(again.predict(inputs, verbose=0), model.predict(inputs, verbose=0), atol=1e-5)


def test_load_model_names_what_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.keras"):
        ats_mag.load_model(tmp_path / "nothing.keras")
    (tmp_path / "junk.keras").write_text("no model")
    with pytest.raises(ValueError, match=r"junk\.keras"):
        ats_mag.load_model(tmp_path / "junk.keras")


def test_exhaustive_is_the_expectation_over_every_cell_whatever_the_chunk(build, batch):
    inputs, _ = batch
    inputs = {name: value[:2] for name, value in inputs.items()}
    model = build(test_method="exhaustive", chunk=7)
    attention = np.asarray(model.attend(tensors(inputs)))
    phi = np.zeros((2, model.dimension))
    for b in range(2):
        cells = np.argwhere(attention[b] > 0)[None]
        one = {name: value[b : b + 1] for name, value in inputs.items()}
        patches, _ = model.read(one, cells)
        features = np.asarray(model.features_of(patches))[0]
        phi[b] = (features * attention[b][tuple(cells[0].T)][:, None]).sum(axis=0)
    expected = keras.ops.softmax(phi @ np.asarray(model.head.kernel) + np.asarray(model.head.bias))
    np.testing.assert_allclose(model.predict(inputs, verbose=0), expected, atol=1e-5)


def test_spaced_patches_lie_apart_and_inside(build, batch):
    inputs, _ = batch
    model = build(test_method="spaced", test_n_patches=4)
    looked = model.inspect(tensors(inputs))
    geometry = np.asarray(inputs["geometry"])
    for b in range(len(geometry)):
        begin = looked.location[b] - geometry[b, :2]
        side = model.patch_size * looked.downsample[b]
        assert begin.min() >= -1
        assert (begin + side[:, None] <= geometry[b, 2:4] + 1).all()
        for i in range(4):
            for j in range(i):
                away = np.abs(begin[i] - begin[j]).max()
                assert looked.index[b, i, 2] != looked.index[b, j, 2] or away >= side[i] - 1
    np.testing.assert_allclose(looked.weight.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(model.predict(inputs, verbose=0), looked.probabilities, atol=1e-5)


def test_a_changed_attribute_reaches_functions_that_are_traced_already(build, batch):
    inputs = {name: value[:1] for name, value in batch[0].items()}
    model = build(on_error="fill")
    first = model.predict(inputs, verbose=0)
    for name, value in (("test_n_patches", 2), ("test_method", "exhaustive")):
        setattr(model, name, value)
        found = model.predict(inputs, verbose=0)
        np.testing.assert_allclose(found, np.asarray(model(tensors(inputs))), atol=1e-6)
        assert np.abs(found - first).max() > 1e-6
        first = found
    told = []
    model.on_unreadable = lambda path, index, geometry, valid: (told.append(path), valid)[1]
    model.predict(inputs, verbose=0)
    assert told
    missing = {**inputs, "path": np.where(inputs["path"] > 0, ord("x"), 0).astype("int32")}
    model.predict(missing, verbose=0)
    model.on_error = "raise"
    with pytest.raises(tf.errors.NotFoundError):
        model.predict(missing, verbose=0)


def test_prediction_of_a_slide_does_not_depend_on_its_batch(build, batch, cohort):
    inputs, _ = batch
    model = build()
    together = model.predict(inputs, batch_size=6, verbose=0)
    for b in range(6):
        alone = slide_inputs([str(cohort / "slides" / f"s{b}.tif")], 16.0, model.lattice.stride)
        assert alone["overview"].shape != inputs["overview"][:1].shape  # the batch pads
        np.testing.assert_allclose(model.predict(alone, verbose=0)[0], together[b], atol=1e-5)


@pytest.mark.parametrize("saliency", [0.0, 2.0])
def test_padding_changes_no_logit(saliency):
    """White padding is exactly 0 in every layer, as the zeros that convolutions pad with."""
    overview = np.random.default_rng(0).uniform(60, 220, (1, 32, 32, 3)).astype("float32")  # tissue up to the rim
    network = attention_network(2, 4, saliency=saliency)
    network.get_layer("logits").kernel.assign(np.random.default_rng(0).normal(size=(1, 1, 32, 2)))
    padded = np.pad(overview, ((0, 0), (0, 32), (0, 64), (0, 0)), constant_values=255)
    inside = np.asarray(network(padded))[:, :8, :8]
    np.testing.assert_allclose(inside, np.asarray(network(overview)), atol=1e-5)


def test_the_attention_starts_on_what_is_salient_darker_or_lighter_however_stained():
    overview = np.full((1, 32, 32, 3), 180, "float32")
    overview[:, :8] = 255  # glass
    overview[:, 16:20, 8:12] = 120
    overview[:, 24:28, 20:24] = 215
    network = attention_network(2, 4, saliency=2.0)
    logits = np.asarray(network(overview))
    np.testing.assert_array_equal(logits[..., 0], logits[..., 1])
    highest = {tuple(np.argwhere(logits[0, ..., 0] == value)[0]) for value in np.sort(logits[0, ..., 0].ravel())[-2:]}
    assert highest == {(4, 2), (6, 5)}
    assert (logits[0, 0] == 0).all()
    fainter = np.where(overview < 225, 255 - (255 - overview) * 0.8, overview)
    np.testing.assert_allclose(network(fainter), logits, atol=0.1)
    assert (np.asarray(attention_network(2, 4)(overview)) == 0).all()  # else it starts uniform


def test_inspect_explains_the_prediction(build, batch):
    inputs, _ = batch
    model = build()
    looked = model.inspect(inputs)
    np.testing.assert_allclose(looked.probabilities, model.predict(inputs, verbose=0), atol=1e-5)
    scores = looked.contribution.sum(axis=1) + np.asarray(model.head.bias)
    np.testing.assert_allclose(keras.ops.softmax(scores), looked.probabilities, atol=1e-5)
    assert looked.patches.shape == (6, 6, 32, 32, 3)
    np.testing.assert_allclose(looked.attention.sum(axis=(1, 2, 3)), 1, atol=1e-5)
    b, n = 2, 2  # the third of the most probable cells at the first magnification, where three of six patches are
    row, column, m = looked.index[b, n]
    assert m == 0
    assert looked.attention[b, row, column, m] == np.sort(looked.attention[b, :, :, 0], axis=None)[-1 - n]


def test_cells_off_tissue_are_never_drawn(build, batch):
    inputs, _ = batch
    model = build(test_method="sequential")
    looked = model.inspect(inputs, n_patches=50)
    cells = np.asarray(model.cells(inputs["mask"]))
    for b in range(6):
        drawn = looked.index[b][looked.weight[b] > 0]
        assert cells[b][drawn[:, 0], drawn[:, 1]].all()


def test_a_seed_repeats_the_draws(build, batch):
    inputs, _ = batch
    draws = [build(test_method="sequential", seed=5).inspect(inputs).index for _ in range(2)]
    np.testing.assert_array_equal(*draws)
    other = build(test_method="sequential", seed=6).inspect(inputs).index
    assert (draws[0] != other).any()


def test_inspect_draws_with_the_noise_of_its_inputs(build, noisy):
    inputs, _ = noisy
    model = build(test_method="sequential")
    plain = {name: value for name, value in inputs.items() if name != "noise"}
    index = [model.inspect(inputs).index, model.inspect(plain, noise=inputs["noise"]).index]
    np.testing.assert_array_equal(*index)
    assert (model.inspect(plain).index != index[0]).any()


def test_more_patches_than_the_lattice_has_cells(build, batch):
    inputs, _ = batch
    with pytest.raises(ValueError, match="cannot be drawn from a lattice"):
        build(n_patches=10_000)(tensors(inputs), training=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"head": "softmax"}, "head must be one of"),
        ({"method": "topk"}, "method must be one of"),
        ({"test_method": "best"}, "test_method must be one of"),
        ({"n_patches": 0}, "n_patches must be an integer"),
        ({"patch_size": 0}, "patch_size must be an integer"),
        ({"n_patches": 1}, "stratify=True needs"),
        ({"on_error": "ignore"}, "on_error must be"),
    ],
)
def test_bad_arguments(build, options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)


def test_arguments_after_the_fifth_are_given_by_name():
    with pytest.raises(TypeError, match="positional arguments"):
        SlideClassifier(2, ("20x", "5x"), 32, 4, 16.0, attention_network(2, 4))
    with pytest.raises(ValueError, match="feature_weights"):
        SlideClassifier(2, feature_weights="f.weights.h5")


def test_integers_may_be_numpys(build, tmp_path):
    names = ("n_patches", "test_n_patches", "patch_size", "chunk", "overlap", "explore_steps", "seed")
    numbers = dict(zip(names, (4, 5, 32, 7, 2, 0, 3), strict=True))
    model = build(np.int64(3), **{name: np.int32(value) for name, value in numbers.items()})
    assert model.classes == ["0", "1", "2"]
    model.save(tmp_path / "m.keras")
    config = ats_mag.load_model(tmp_path / "m.keras").get_config()
    assert {name: config[name] for name in names} == numbers
    for value in (True, np.bool_(True), 4.0, "4", np.array([4, 5])):
        with pytest.raises(ValueError, match="n_patches must be an integer of at least 1"):
            build(n_patches=value)
    options = ats_mag.AdaptiveOptions(block=np.int64(2), max_patches=np.int64(9), first=np.uint8(1), seed=np.int64(5))
    assert json.loads(json.dumps(dataclasses.asdict(options)))["max_patches"] == 9


def test_networks_that_do_not_fit():
    with pytest.raises(ValueError, match="attention network must be fully convolutional"):
        SlideClassifier(2, attention=attention_network(3))
    flat = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Conv2D(4, 3)])
    with pytest.raises(ValueError, match="feature network must map"):
        SlideClassifier(2, patch_size=32, feature=flat)
    with pytest.raises(ValueError, match="magnifications must be"):
        SlideClassifier(2, magnifications=("20x", 0.5))
    with pytest.raises(ValueError, match="each named once"):
        SlideClassifier(["a", "a"])


@pytest.mark.long
def test_a_network_of_keras_applications_and_weights_from_a_file(batch, tmp_path):
    inputs, _ = batch
    network = application_network("MobileNetV2", 32)
    network.save_weights(tmp_path / "f.weights.h5")
    feature = application_network("MobileNetV2", 32)
    feature.load_weights(tmp_path / "f.weights.h5")
    model = SlideClassifier(
        2, patch_size=32, n_patches=2, overview_mpp=16.0, attention=attention_network(2, 4), feature=feature
    )  # fmt: skip
    for a, b in zip(network.get_weights(), model.feature.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    model.save(tmp_path / "m.keras")
    again = ats_mag.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(again.predict(inputs, verbose=0), model.predict(inputs, verbose=0), atol=1e-5)
    with pytest.raises(ValueError, match="no network"):
        application_network("ResNet5000", 32)


def test_built_in_networks_keep_no_batch_statistics():
    for network in (attention_network(2), feature_network(64)):
        assert not [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    with pytest.raises(ValueError, match="power of 2"):
        attention_network(2, stride=6)
