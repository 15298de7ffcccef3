"""Models that cannot be loaded: one sentence that says why and what to do."""

import json
import shutil
import sys
import zipfile

import keras
import numpy as np
import pytest
from archives import rewrite

import ats_mag
from ats_mag.model.saving import load_classifier, save_model
from ats_mag.model.user_modules import import_modules

_MODULE = """
import keras

class Brighten(keras.layers.Layer):
    def call(self, x):
        return 2 * x
"""


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "good.keras"
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save(path)
    return path


def _said(path):
    with pytest.raises(ValueError, match="cannot load the model") as caught:
        ats_mag.load_model(path)
    text = str(caught.value)
    assert str(path) in text
    assert "\n" not in text
    return text


def test_files_that_are_no_models(tmp_path, good):
    (tmp_path / "empty.keras").write_bytes(b"")
    assert "is empty" in _said(tmp_path / "empty.keras")
    (tmp_path / "text.keras").write_text("hello")
    assert "no `.keras` file" in _said(tmp_path / "text.keras")
    content = good.read_bytes()
    (tmp_path / "cut.keras").write_bytes(content[: len(content) // 2])
    assert "cut off; copy it again" in _said(tmp_path / "cut.keras")
    keras.models.load_model(good).save(tmp_path / "old.h5")
    shutil.move(tmp_path / "old.h5", tmp_path / "old.keras")
    assert "HDF5" in _said(tmp_path / "old.keras")
    with zipfile.ZipFile(tmp_path / "zip.keras", "w") as archive:
        archive.writestr("slides.csv", "a,b")
    assert "it lacks config.json" in _said(tmp_path / "zip.keras")
    (tmp_path / "folder.keras").mkdir()
    assert "a folder" in _said(tmp_path / "folder.keras")


def test_damage_inside(tmp_path, good):
    content = bytearray(good.read_bytes())
    with zipfile.ZipFile(good) as archive:
        start = archive.getinfo("model.weights.h5").header_offset
    for place in range(start + 200, start + 260):
        content[place] ^= 0xFF
    (tmp_path / "flipped.keras").write_bytes(content)
    assert "damaged (in model.weights.h5); copy it again" in _said(tmp_path / "flipped.keras")
    assert "damaged (in config.json); copy it" in _said(rewrite(good, tmp_path / "a.keras", {"config.json": b"{"}))
    junk = rewrite(good, tmp_path / "b.keras", {"model.weights.h5": b"junk"})
    assert "damaged (in model.weights.h5); copy it" in _said(junk)
    assert "lacks model.weights.h5" in _said(rewrite(good, tmp_path / "c.keras", {"model.weights.h5": None}))
    _said(rewrite(good, tmp_path / "d.keras", {"config.json": b'{"class_name": "Dense"}'}))


def test_another_keras_is_named(tmp_path, good):
    with zipfile.ZipFile(good) as archive:
        config = json.loads(archive.read("config.json"))
    config["config"]["layers"][-1]["config"]["new_option"] = 3
    metadata = json.dumps({"keras_version": "9.1.0", "date_saved": "x"})
    change = {"config.json": json.dumps(config).encode(), "metadata.json": metadata.encode()}
    assert f"Keras 9.1.0 wrote it, this is {keras.__version__}" in _said(rewrite(good, tmp_path / "new.keras", change))


@pytest.mark.parametrize("by", ["name", "file"])
def test_a_layer_of_the_users_own(tmp_path, monkeypatch, by):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    name = f"of_mine_{by}"
    (tmp_path / f"{name}.py").write_text(_MODULE)
    import_modules([f"{name}.py"])
    model = keras.Sequential([keras.Input((3,)), keras.saving.get_custom_objects()["Brighten"]()])
    model.save(tmp_path / "mine.keras")
    keras.saving.get_custom_objects().pop("Brighten")
    sys.modules.pop(name)
    assert "'Brighten', which is not of ats_mag or Keras: import the module" in _said(tmp_path / "mine.keras")
    import_modules([name if by == "name" else str(tmp_path / f"{name}.py")])
    loaded = ats_mag.load_model(tmp_path / "mine.keras")
    assert loaded(np.array([[1.0, 2.0, 3.0]], "float32"))[0, 2] == 6
    keras.saving.get_custom_objects().pop("Brighten")


def test_modules_that_cannot_be_imported(tmp_path):
    (tmp_path / "broken.py").write_text("1 / 0")
    for name in ("no.such.module", str(tmp_path / "broken.py"), str(tmp_path / "none.py")):
        with pytest.raises(ImportError, match="cannot be imported"):
            import_modules([name])


def test_another_model_is_no_classifier(good):
    with pytest.raises(ValueError, match="holds a Sequential, not a SlideClassifier"):
        load_classifier(good)


def test_a_model_that_cannot_be_written_leaves_nothing(tmp_path, good, monkeypatch):
    model = keras.models.load_model(good)
    save_model(model, tmp_path / "a.keras")
    assert [p.name for p in tmp_path.iterdir()] == ["a.keras"]
    before = (tmp_path / "a.keras").read_bytes()

    def full(path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(model, "save", full)
    with pytest.raises(OSError, match=r"could not be written: '.*a\.keras'"):
        save_model(model, tmp_path / "a.keras")
    assert [p.name for p in tmp_path.iterdir()] == ["a.keras"]
    assert (tmp_path / "a.keras").read_bytes() == before
