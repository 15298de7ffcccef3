import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from command_line import here

from ats_mag.model.export.description import CARD
from ats_mag.model.slide_inputs import slide_inputs
from ats_mag.prediction.predictor import Predictor
from ats_mag.slides.shared_library import load_op

FRESH_PROCESS = """
import sys, numpy as np, tensorflow as tf
op, model, stock, slides, out = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4].split("|"), sys.argv[5]
stock = tf.saved_model.load(stock)  # before the op is there
tf.load_op_library(op)
serve = tf.saved_model.load(model).signatures["serving_default"]
found = serve(path=tf.constant(slides), slide_mpp=tf.constant(float("nan"), tf.float64))
assert "ats_mag" not in sys.modules
one = serve(path=tf.constant(slides[1]), slide_mpp=tf.constant([0.5], tf.float64))
np.savez(out, one=one["probabilities"], **{name: value.numpy() for name, value in found.items()})
"""


@pytest.fixture(scope="module")
def slides(cohort):
    return [str(cohort / "slides" / f"s{i}.tif") for i in (1, 2, 3)]


@pytest.fixture(scope="module")
def exported(build, tmp_path_factory):
    """A model, and its two SavedModels."""
    model, folder = build(), tmp_path_factory.mktemp("exported")
    model.save(folder / "model.keras")
    here("export", folder / "model.keras", folder / "served")
    return model, folder / "served", folder / "served-stock"


@pytest.mark.long
def test_the_command_predicts_with_the_savedmodel_as_with_the_model(exported, slides, tmp_path):
    _, folder, _ = exported
    found = []
    for source in (folder.parent / "model.keras", folder):
        out, _ = here("predict", source, slides[0], "--out", tmp_path / f"{source.name}.csv")
        assert "1 slides: 1 predicted, 0 kept, 0 failed" in out
        found.append(pd.read_csv(tmp_path / f"{source.name}.csv").iloc[0])
    keras, saved = found
    assert keras["path"] == saved["path"] == slides[0]
    assert keras["predicted"] == saved["predicted"]
    assert keras["p_a"] == pytest.approx(saved["p_a"], abs=1e-3)
    _, error = here("predict", folder.parent / "model.keras", slides[0], "--out", tmp_path / "served.csv", status=1)
    assert "predictions of another model" in error


def test_the_savedmodel_predicts_in_a_process_without_the_package(exported, slides, tmp_path):
    model, folder, stock = exported
    arguments = [load_op(), str(folder), str(stock), "|".join(slides), str(tmp_path / "found.npz")]
    subprocess.run([sys.executable, "-c", FRESH_PROCESS, *arguments], check=True, cwd=tmp_path, capture_output=True)
    found = np.load(tmp_path / "found.npz")
    inputs = slide_inputs(slides, model.lattice.overview_mpp, model.overview_multiple)
    looked = model.inspect(inputs)
    np.testing.assert_allclose(found["probabilities"], looked.probabilities, atol=1e-5)
    np.testing.assert_allclose(found["one"][0], looked.probabilities[1], atol=1e-5)
    np.testing.assert_allclose(found["attention"], looked.attention, atol=1e-5)
    np.testing.assert_array_equal(found["location"], looked.location)
    np.testing.assert_allclose(found["mpp"], 0.5)


def test_the_stock_savedmodel_locates_and_classifies(exported, slides):
    import tensorflow as tf

    model, _, stock = exported
    loaded = tf.saved_model.load(str(stock)).signatures
    inputs = slide_inputs(slides[:1], model.lattice.overview_mpp, model.lattice.stride)
    mask = loaded["tissue"](overview=tf.constant(inputs["overview"][0]))["mask"]
    np.testing.assert_array_equal(mask, inputs["mask"][0])
    places = loaded["locate"](overview=tf.constant(inputs["overview"]), mask=mask[None])
    looked = model.inspect(inputs)
    np.testing.assert_array_equal(places["index"], looked.index)
    centre = looked.location + looked.downsample[..., None] * model.patch_size / 2
    np.testing.assert_allclose(places["centre_um"], centre * 0.5, atol=0.5)
    np.testing.assert_allclose(places["mpp"], looked.downsample * 0.5)
    found = loaded["classify"](patches=tf.constant(looked.patches), weight=places["weight"])
    np.testing.assert_allclose(found["probabilities"], looked.probabilities, atol=1e-5)


def test_an_empty_list_of_slides(exported):
    import tensorflow as tf

    _, folder, stock = exported
    load_op()
    serve = tf.saved_model.load(str(folder)).signatures["serving_default"]
    found = serve(path=tf.constant([], tf.string), slide_mpp=tf.constant(float("nan"), tf.float64))
    assert {name: value.shape[0] for name, value in found.items()} == dict.fromkeys(found, 0)
    assert found["probabilities"].shape == (0, 3)
    loaded = tf.saved_model.load(str(stock))
    found = loaded.locate(tf.zeros((0, 64, 64, 3), tf.uint8), tf.zeros((0, 64, 64), tf.bool))
    assert found["attention"].shape == (0, 16, 16, 2)


def test_probabilities_that_are_no_numbers_fail_in_the_graph(exported):
    """Weights may be finite and what is computed from them not."""
    import tensorflow as tf

    stock = tf.saved_model.load(str(exported[2]))
    kernel, bias = (
        next(v for v in stock.variables if v.shape == shape) for shape in (exported[0].head.kernel.shape, (3,))
    )
    kernel.assign(3e38 * np.random.default_rng(0).choice([-1.0, 1.0], kernel.shape))
    bias.assign(np.full(3, 3e38))
    patches = tf.cast(np.random.default_rng(0).integers(0, 255, (1, 6, 32, 32, 3)), tf.uint8)
    with pytest.raises(tf.errors.InvalidArgumentError, match="NaN or infinite probabilities"):
        stock.classify(patches, tf.ones((1, 6)))


@pytest.mark.long
@pytest.mark.parametrize("test_method", ["exhaustive", "spaced", "sequential"])
def test_other_test_methods_export(build, slides, tmp_path, test_method):
    model = build(test_method=test_method)
    folder, _ = model.export(tmp_path / "exported")
    found = Predictor(folder)(slides[0])
    if test_method != "sequential":
        inputs = slide_inputs(slides[:1], model.lattice.overview_mpp, model.overview_multiple)
        np.testing.assert_allclose(found, model.predict(inputs, verbose=0)[0], atol=1e-5)
    assert found.sum() == pytest.approx(1, abs=1e-5)


def test_an_existing_folder_is_not_overwritten(build, tmp_path):
    (tmp_path / "exported").mkdir()
    with pytest.raises(FileExistsError, match="exported"):
        build().export(tmp_path / "exported")
    assert [p.name for p in tmp_path.iterdir()] == ["exported"]


def test_the_card_says_what_a_server_must_know(exported):
    card = json.loads((exported[1] / CARD).read_text())
    assert card["classes"] == ["a", "b", "c"]
    assert card["magnifications_um_per_px"] == [0.5, 2.0]


def test_predictor_on_a_binary_keras_model_gives_both_classes(build, slides, tmp_path):
    model = build(["no", "yes"], head="binary")
    model.save(tmp_path / "m.keras")
    predictor = Predictor(tmp_path / "m.keras")
    found = predictor(slides[0])
    assert predictor.classes == ["no", "yes"]
    assert found.shape == (2,)
    assert found.sum() == pytest.approx(1)
    with pytest.raises(FileNotFoundError, match=r"none.tif"):
        predictor("none.tif")
    with pytest.raises(FileNotFoundError, match=r"none.keras"):
        Predictor("none.keras")
