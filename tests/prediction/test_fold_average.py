"""Several models of one task: their probabilities are averaged."""

import json

import numpy as np
import pytest

from ats_mag.prediction import find_slides, predict_cohort
from ats_mag.prediction.model_identity import ModelIdentity
from ats_mag.prediction.predictor import Predictor
from ats_mag.runs.layout import models_of


@pytest.fixture
def folds(tmp_path, monkeypatch):
    """A run of three folds whose models say what their files hold; the third is not trained."""
    run = tmp_path / "run"
    for fold, positive in enumerate((0.25, 0.75)):
        (run / f"fold-{fold}").mkdir(parents=True)
        (run / f"fold-{fold}" / "model.keras").write_text(json.dumps([1 - positive, positive]))
    (run / "run.json").write_text(json.dumps({"folds": 3}))

    def open_stub(path, adaptive):
        found = json.loads(path.read_text())
        return ["a", "b", "c"][: len(found)], True, lambda slide, mpp, mask: np.array(found)

    monkeypatch.setattr("ats_mag.prediction.predictor._open_keras", open_stub)
    return run


def test_a_run_stands_for_the_models_of_all_its_folds(folds):
    with pytest.raises(FileNotFoundError, match=r"no trained model of fold\(s\) 2"):
        models_of(folds)
    (folds / "fold-2").mkdir()
    (folds / "fold-2" / "model.keras").write_text("[1, 0]")
    assert models_of(folds) == [folds / f"fold-{k}" / "model.keras" for k in range(3)]
    (folds / "study.yaml").write_text("run: .\n")
    assert models_of(folds / "study.yaml") == models_of(folds)
    one = folds / "fold-1" / "model.keras"
    assert models_of(one) == [one]


def test_probabilities_are_averaged(folds, tmp_path):
    models = [folds / f"fold-{k}" / "model.keras" for k in range(2)]
    predictor = Predictor(models)
    assert predictor("slide.tif").tolist() == [0.5, 0.5]
    slide = tmp_path / "s.tif"
    slide.write_text("x")
    (done,) = predict_cohort(models, find_slides([slide]), tmp_path / "p.csv")
    assert (done.columns["p_a"], done.columns["p_b"]) == (0.5, 0.5)
    card = json.loads((tmp_path / "p.csv.model.json").read_text())
    assert card["model"] == list(map(str, models))
    with pytest.raises(ValueError, match="another model"):  # one of them is not all of them
        list(predict_cohort(models[0], find_slides([slide]), tmp_path / "p.csv"))


def test_one_model_has_the_fingerprint_that_it_always_had(folds):
    model = folds / "fold-0" / "model.keras"
    assert ModelIdentity.of(model, {}) == ModelIdentity.of([model], {})


def test_models_of_other_classes_and_adaptive_averages_are_refused(folds):
    first, other = folds / "fold-0" / "model.keras", folds / "other.keras"
    other.write_text("[0.2, 0.3, 0.5]")
    with pytest.raises(ValueError, match="need the same classes"):
        Predictor([first, other])
    with pytest.raises(ValueError, match="adaptive prediction is of one model"):
        Predictor([first, first], adaptive=object())
    with pytest.raises(ValueError, match="no model is given"):
        Predictor([])
