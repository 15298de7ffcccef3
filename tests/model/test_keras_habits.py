"""What people who know Keras take for granted."""

import importlib
import json
import os
import pkgutil
import subprocess
import sys

import keras
import numpy as np
import pytest

import ats_mag
from ats_mag.saved_classes import CLASSES

pytestmark = pytest.mark.needs_tensorflow

IN_A_NEW_PROCESS = """
import sys, ats_mag, keras
import numpy as np
import ats_mag.model.slide_inputs
saved, slide, setting, value = sys.argv[1:]
assert str(getattr(keras.config, setting)()) == value
if saved != "none":
    np.save(saved + ".npy", keras.saving.load_model(saved).predict([slide]))
from ats_mag.model.built_in_networks import attention_network
model = ats_mag.SlideClassifier(
    ["x", "y"], (0.5, 1.0), patch_size=32, n_patches=4, overview_mpp=16.0, overlap=1,
    attention=attention_network(2, 4, saliency=1.0), feature=ats_mag.feature_network(32),
)
ats_mag.SlideClassifier(["x", "y"], (0.5, 1.0), patch_size=32, n_patches=4)
model.compile(jit_compile=False, run_eagerly=setting == "image_data_format")  # to trace it takes seconds
print(float(model.train_on_batch(model.inputs_of([slide, slide]), np.array([0, 1]))[0]))
"""


def in_a_new_process(home, *arguments, **settings):
    """Runs the script as a user with these settings in their `keras.json`; returns the loss that it prints."""
    (home / ".keras").mkdir(parents=True)
    usual = {"floatx": "float32", "epsilon": 1e-7, "backend": "tensorflow", "image_data_format": "channels_last"}
    (home / ".keras" / "keras.json").write_text(json.dumps(usual | settings))
    environment = {**os.environ, "HOME": str(home), "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment.pop("KERAS_HOME", None)
    done = subprocess.run(
        [sys.executable, "-c", IN_A_NEW_PROCESS, *arguments], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return float(done.stdout.split()[-1])


@pytest.mark.long
def test_keras_loads_our_models_once_the_package_is_imported(build, cohort, tmp_path):
    """And channels come last whatever `keras.json` says."""
    model, slide = build(), str(cohort / "slides" / "s0.tif")
    model.save(tmp_path / "m.keras")
    loss = in_a_new_process(
        tmp_path / "home", str(tmp_path / "m.keras"), slide, "image_data_format", "channels_first",
        image_data_format="channels_first",
    )  # fmt: skip
    assert np.isfinite(loss)
    np.testing.assert_allclose(np.load(tmp_path / "m.keras.npy"), model.predict(slide), atol=1e-5)


@pytest.mark.long
@pytest.mark.parametrize("floatx", ["float16", "float64"])
def test_a_model_trains_whatever_type_keras_computes_in(cohort, tmp_path, floatx):
    slide = str(cohort / "slides" / "s0.tif")
    assert np.isfinite(in_a_new_process(tmp_path / "home", "none", slide, "floatx", floatx, floatx=floatx))


def test_every_class_of_the_package_is_known_to_keras():
    for module in pkgutil.walk_packages(ats_mag.__path__, "ats_mag."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    known = keras.saving.get_custom_objects()
    ours = {n: v for n, v in known.items() if getattr(v, "__module__", "").startswith("ats_mag.") and ">" in n}
    assert {name: f"{value.__module__}".removeprefix("ats_mag.") for name, value in ours.items()} == CLASSES


@pytest.mark.parametrize("name", ["m.h5", "m.hdf5"])
def test_what_could_not_be_loaded_is_not_written(build, tmp_path, name):
    with pytest.raises(ValueError, match=r"saved as a `\.keras` file"):
        build().save(tmp_path / name)
    assert not list(tmp_path.iterdir())


@keras.saving.register_keras_serializable("ats_mag_tests")
class OfAUser(keras.Model):
    def __init__(self):
        super().__init__()
        self.softmax = ats_mag.JointSoftmax()
        self.regularized = ats_mag.RegularizeAttention(ats_mag.MultinomialEntropy(1.0))

    def call(self, logits):
        attention = self.softmax(logits, mask=np.ones((2, 3, 4), bool))
        return self.regularized(attention, weight=np.ones(2, "float32"))


def test_summary_at_any_time(build, batch):
    lines = []
    model = build()
    model.summary(print_fn=lambda line, **_: lines.append(line))
    model.predict({name: value[:1] for name, value in batch[0].items()}, verbose=0)
    model.summary(print_fn=lambda line, **_: lines.append(line), expand_nested=True)
    user = OfAUser()
    user(np.zeros((2, 3, 4, 2), "float32"))
    user.summary(print_fn=lambda line, **_: lines.append(line))
    text = "\n".join(lines)
    assert text.count("joint_softmax") >= 3
    assert "(2, 3, 4, 2)" in text


def test_empty_batches_of_layers_and_draws():
    attention = np.zeros((0, 3, 4, 2), "float32")
    assert ats_mag.JointSoftmax(0.1)(attention, np.zeros((0, 3, 4), bool)).shape == (0, 3, 4, 2)
    for method in ("replacement", "sequential", "priority", "topk", "exhaustive"):
        drawn = ats_mag.sample(attention, 4, method, stratify=True)
        assert drawn.index.shape[::2] == (0, 3)
    for regularizer in (
        ats_mag.MultinomialEntropy(1.0),
        ats_mag.MagnificationEntropy(1.0, per="batch"),
        ats_mag.MagnificationEntropy(1.0),
        ats_mag.PlaceEntropy(1.0),
    ):
        assert float(regularizer(attention)) == 0


def test_empty_batches_of_a_model(build):
    model = build()
    inputs = model.inputs_of([])
    assert model.attend(inputs).shape == (0, 16, 16, 2)
    assert model.predict(inputs).shape == model.predict([]).shape == (0, 3)
    assert len(model.predict_slides([])) == 0
    assert model.inspect(inputs).patches.shape == (0, 6, 32, 32, 3)
    model.test_method = "exhaustive"
    assert model(inputs).shape == (0, 3)
    with pytest.raises(ValueError, match="a batch without a slide cannot be trained on"):
        model.train_on_batch(inputs, np.zeros(0, "int32"))


def test_export_takes_the_name_of_its_only_format(build, tmp_path, monkeypatch):
    monkeypatch.setattr("ats_mag.model.export.savedmodel.export_model", lambda model, path, **_: (path,))
    assert build().export(tmp_path / "m", format="tf_saved_model") == (tmp_path / "m",)
    with pytest.raises(TypeError, match=r"takes `path` and `include_encoder` only\. Received: format='onnx'"):
        build().export(tmp_path / "n", format="onnx")


def test_numbers_of_numpy_are_numbers():
    i, f = np.int64, np.float32
    model = ats_mag.SlideClassifier(
        i(2), np.array([0.5, 1.0]), patch_size=i(32), n_patches=i(4), overview_mpp=f(4), seed=i(1), explore_steps=i(3),
        chunk=i(4), overlap=i(2), test_n_patches=i(6), min_tissue=f(0.25), auxiliary=f(0.5), smooth=f(0.125),
        stratify=np.bool_(True), snap=np.bool_(True), feature=ats_mag.feature_network(i(32), i(16)),
        attention=ats_mag.attention_network(i(2), i(4)),
    )  # fmt: skip
    layers = (
        ats_mag.SamplePatches(i(2), (i(4), i(4)), seed=i(1), receptive_field=i(2)),
        ats_mag.ReadSlidePatches(i(8)),
        ats_mag.L2Normalize((i(1), i(2))),
        ats_mag.JointSoftmax(f(0.125)),
        ats_mag.MultinomialEntropy(f(0.125), f(0.5)),
    )
    for part in (model, *layers):
        config = part.get_config()
        assert json.loads(json.dumps(config))["name" if "name" in config else "strength"]
    attention = np.full((2, 5, 5, 2), 1 / 50, "float32")
    for method in ("replacement", "sequential", "priority"):
        drawn, again = (ats_mag.sample(attention, n, method, seed=n, stratify=True) for n in (4, i(4)))
        np.testing.assert_array_equal(drawn.index, again.index)
    assert ats_mag.encoder("small", i(32)).output_shape == (None, 64)
    assert ats_mag.adapter(32, i(8), i(16)).output_shape == (None, 8)
    with pytest.raises(ValueError, match="n_samples must be an integer of at least 1"):
        ats_mag.sample(attention, f(4))


def test_priority_that_cannot_learn_is_refused(build):
    """The only patch of a stratum has weight 1 wherever it is."""
    with pytest.raises(ValueError, match=r"two or more patches at each magnification: give n_patches of at least 4"):
        build(method="priority", n_patches=3)
    with pytest.raises(ValueError, match=r"two or more patches per slide: give n_patches of at least 2"):
        build(method="priority", n_patches=1, stratify=False, auxiliary=0.0)
    with pytest.raises(ValueError, match="two or more patches"):
        ats_mag.attention_sampling(None, None, (4, 4), n_patches=1, method="priority")
    assert build(method="priority", n_patches=4).method == "priority"
    config = {**build().get_config(), "method": "priority", "n_patches": 2}  # of a file that an earlier release wrote
    assert ats_mag.SlideClassifier.from_config(config).method == "priority"


def test_slides_that_were_prepared_for_another_model_are_refused(build, batch):
    inputs, labels = ({name: value[:2] for name, value in batch[0].items()}, batch[1][:2])
    model = build(overview_mpp=8.0)
    wrong = r"the overview of a slide is of 16 um/px, the model was made for overviews of 8 um/px"
    with pytest.raises(ValueError, match=wrong):
        model.predict(inputs, verbose=0)
    with pytest.raises(ValueError, match=wrong):
        model.fit(inputs, labels, verbose=0)
    with pytest.raises(ValueError, match=wrong):
        model.evaluate(inputs, labels, verbose=0)
    with pytest.raises(ValueError, match=wrong):
        model.inspect(inputs)
    del inputs["overview_mpp"]  # of someone who makes the inputs themselves
    assert model.predict(inputs, verbose=0).shape == (2, 3)
