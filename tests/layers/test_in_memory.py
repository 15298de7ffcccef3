"""`attention_sampling`: models of images in memory. Their equality with attention-sampling 0.2: `test_golden.py`."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from ats_mag.layers.in_memory import attention_sampling
from ats_mag.layers.joint_softmax import JointSoftmax
from ats_mag.layers.l2_normalize import L2Normalize
from ats_mag.sampling.regularizers import MagnificationEntropy, MultinomialEntropy

RNG = np.random.default_rng(0)
X_LOW, X_HIGH = RNG.random((4, 8, 8, 1)).astype("float32"), RNG.random((4, 32, 32, 1)).astype("float32")
Y = np.array([0, 1, 0, 1])


def attention_network(n_magnifications=1):
    return keras.Sequential(
        [keras.Input((8, 8, 1)), layers.Conv2D(n_magnifications, 3, padding="same"), JointSoftmax()]
    )


def feature_network(fixed=True):
    network = [layers.Conv2D(6, 3, activation="relu"), layers.GlobalAveragePooling2D()]
    network.append(L2Normalize())
    return keras.Sequential([keras.Input((7, 7, 1) if fixed else (None, None, 1)), *network])


def model(n_magnifications=1, **arguments):
    arguments.setdefault("feature", feature_network())
    x_low, x_high = keras.Input((8, 8, 1)), keras.Input((32, 32, 1))
    function = attention_sampling(attention_network(n_magnifications), **arguments)
    features, attention, patches = function([x_low, x_high])
    return keras.Model([x_low, x_high], [layers.Dense(2)(features), features, attention, patches])


def test_shapes():
    scores, features, attention, patches = model(n_patches=5)([X_LOW, X_HIGH])
    assert scores.shape == (4, 2)
    assert features.shape == (4, 6)
    assert attention.shape == (4, 8, 8, 1)
    assert patches.shape == (4, 5, 7, 7, 1)


def test_works_on_tensors_too():
    function = attention_sampling(attention_network(), feature_network(), n_patches=5)
    features, attention, patches = function([ops.convert_to_tensor(X_LOW), ops.convert_to_tensor(X_HIGH)])
    assert (features.shape, attention.shape, patches.shape) == ((4, 6), (4, 8, 8, 1), (4, 5, 7, 7, 1))


def test_exhaustive_is_the_exact_expectation():
    feature = feature_network()
    _, features, attention, patches = model(
        n_magnifications=2, feature=feature, method="exhaustive", magnifications=(1, 2)
    )([X_LOW, X_HIGH])
    assert patches.shape == (4, 128, 7, 7, 1)
    each = np.asarray(feature(ops.reshape(patches, (-1, 7, 7, 1)))).reshape(4, 128, 6)
    order = np.argsort(-np.asarray(attention).reshape(4, 128), axis=1, kind="stable")
    weight = np.take_along_axis(np.asarray(attention).reshape(4, 128), order, axis=1)
    np.testing.assert_allclose(features, (weight[..., None] * each).sum(axis=1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("method", ["replacement", "sequential", "priority"])
def test_mean_of_the_estimates_is_the_exact_expectation(method):
    attention, feature = attention_network(2), feature_network()
    many = [np.tile(x[:1], (3000, 1, 1, 1)) for x in (X_LOW, X_HIGH)]
    arguments = {"magnifications": (1, 2)}
    exact = attention_sampling(attention, feature, method="exhaustive", **arguments)([x[:1] for x in many])[0]
    found = np.asarray(attention_sampling(attention, feature, n_patches=4, method=method, **arguments)(many)[0])
    error = (found.mean(axis=0) - np.asarray(exact)[0]) / (found.std(axis=0) / np.sqrt(len(found)) + 1e-9)
    bias_of_normalised = 3 if method == "priority" else 0
    assert np.abs(error).max() < 4.5 + bias_of_normalised


def test_replace_is_short_for_the_method():
    def drawn(**arguments):
        keras.utils.set_random_seed(1)
        return np.asarray(model(n_patches=5, **arguments)([X_LOW, X_HIGH])[3])

    np.testing.assert_array_equal(drawn(replace=True), drawn(method="replacement"))
    np.testing.assert_array_equal(drawn(), drawn(method="sequential"))


@pytest.mark.graphs
@pytest.mark.parametrize(
    "method",
    [
        pytest.param("replacement", marks=pytest.mark.long),
        "sequential",
        pytest.param("priority", marks=pytest.mark.long),
    ],
)
def test_trains(method):
    network = model(n_magnifications=2, method=method, n_patches=6, magnifications=(1, 2))
    network = keras.Model(network.inputs, network.outputs[0])
    x_high = X_HIGH + 2 * Y[:, None, None, None].astype("float32")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(0.05), loss, jit_compile=False)
    history = network.fit([X_LOW, x_high], Y, epochs=30, batch_size=4, verbose=0).history["loss"]
    assert np.mean(history[-5:]) < 0.5 * np.mean(history[:5])


def test_regularizer_enters_once():
    network = model(attention_regularizer=MultinomialEntropy(0.5))
    attention = network([X_LOW, X_HIGH])[2]
    assert [float(loss) for loss in network.losses] == [pytest.approx(float(MultinomialEntropy(0.5)(attention)))]
    network = keras.Model(network.inputs, network.outputs[0])
    network.compile("sgd", loss=lambda y, p: 0 * ops.sum(p, axis=-1))
    loss = float(network.evaluate([X_LOW, X_HIGH], Y, batch_size=4, verbose=0))
    assert loss == pytest.approx(float(MultinomialEntropy(0.5)(attention)), rel=1e-5)


def test_saved_and_loaded(tmp_path):
    network = model(
        n_magnifications=2,
        n_patches=5,
        method="topk",
        magnifications=(1.0, 2.0),
        attention_regularizer=MagnificationEntropy(0.5, per="batch"),
    )
    network.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for actual, expected in zip(loaded([X_LOW, X_HIGH]), network([X_LOW, X_HIGH]), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-6)
    np.testing.assert_allclose(loaded.losses[0], network.losses[0], rtol=1e-6)


def test_half_precision_networks():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        network = model(n_patches=5, attention_regularizer=MultinomialEntropy(0.01))
        network = keras.Model(network.inputs, network.outputs[:3])
    finally:
        keras.config.set_dtype_policy("float32")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile("adam", [loss, None, None], jit_compile=False)
    assert np.isfinite(network.train_on_batch([X_LOW, X_HIGH], [Y, Y, Y])).all()
    _, features, attention = network([X_LOW, X_HIGH])
    assert keras.backend.standardize_dtype(attention.dtype) == "float32"
    assert keras.backend.standardize_dtype(features.dtype) == "float32"


def test_patch_size_must_be_known():
    for feature in (feature_network(fixed=False), keras.Sequential([layers.Flatten()]), lambda patches: patches):
        with pytest.raises(ValueError, match="patch_size must be given"):
            attention_sampling(attention_network(), feature)
    assert model(feature=feature_network(fixed=False), patch_size=(9, 7)).outputs[3].shape == (None, 10, 9, 7, 1)


def test_impossible_arguments():
    with pytest.raises(ValueError, match="Received: method='other'"):
        model(method="other")
    with pytest.raises(ValueError, match="Received: 1 inputs"):
        attention_sampling(attention_network(), feature_network())([X_LOW])
    with pytest.raises(ValueError, match="lattice of 64 cells"):
        attention_sampling(attention_network(), feature_network(), n_patches=65)([X_LOW, X_HIGH])
    anything = keras.Input((None, None, 1))
    attention = keras.Sequential([keras.Input((None, None, 1)), JointSoftmax()])
    function = attention_sampling(attention, feature_network(), method="exhaustive")
    with pytest.raises(ValueError, match="known size"):
        function([anything, anything])
