"""Cohorts whose prediction takes no time."""

import pytest
from stub_predictor import StubPredictor


@pytest.fixture
def stub(monkeypatch, tmp_path):
    """A model's file; `Predictor` is replaced by one that needs no slide reader."""
    monkeypatch.setattr("ats_mag.prediction.predictor.Predictor", StubPredictor)
    monkeypatch.setattr("ats_mag.prediction.predict_slide._kept", [])
    StubPredictor.opened = 0
    model = tmp_path / "model.keras"
    model.write_text("one")
    return model
