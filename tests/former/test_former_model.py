"""What the code wrote before the package was divided into rooms still loads, and predicts the same."""

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from ats_mag.model.saving import load_classifier
from ats_mag.prediction.predictor import Predictor
from ats_mag.records.dataset import dataset
from ats_mag.records.record import find_records

ARCHIVE = Path(__file__).with_name("before-rooms.tar.xz")
CLASSES = ["pale", "striped"]


@pytest.fixture(scope="module")
def former(tmp_path_factory):
    """The archive's folder, see `make.py`."""
    folder = tmp_path_factory.mktemp("former")
    with tarfile.open(ARCHIVE) as packed:
        packed.extractall(folder, filter="data")
    return folder


@pytest.mark.parametrize("model", ["complete/fold-0/model.keras", "savedmodel"])
def test_its_model_predicts_the_same(former, model):
    predictor = Predictor(former / model)
    assert predictor.classes == CLASSES
    expected = json.loads((former / "expected.json").read_text())
    assert expected
    for name, probabilities in expected.items():
        np.testing.assert_allclose(predictor(former / "slides" / name), probabilities, rtol=0, atol=1e-6, err_msg=name)


def test_weights_are_in_the_order_of_its_checkpoints(former):
    """A checkpoint holds arrays by number; the model was given its best weights in the end."""
    fold = former / "complete" / "fold-0"
    model = load_classifier(fold / "model.keras")
    with np.load(fold / "checkpoints" / "000003-00000000.npz") as arrays:
        shapes = [arrays[f"model-{i}"].shape for i in range(sum(name.startswith("model-") for name in arrays.files))]
        best = [arrays[f"best-{i}"] for i in range(sum(name.startswith("best-") for name in arrays.files))]
    assert [tuple(variable.shape) for variable in model.variables] == shapes
    for weight, kept in zip(model.weights, best, strict=True):
        np.testing.assert_array_equal(np.array(weight), kept, err_msg=weight.path)


def test_its_records_are_read_and_its_model_learns_from_them(former):
    assert len(find_records(former / "records")) == 6
    data = dataset(former / "records", former / "slides", CLASSES, 6)
    assert sorted(np.concatenate([labels for _, labels in data])) == [0, 0, 0, 1, 1, 1]
    model = load_classifier(former / "complete" / "fold-0" / "model.keras")
    model.compile("adam")
    assert np.isfinite(model.fit(data, shuffle=False, verbose=0).history["loss"]).all()
