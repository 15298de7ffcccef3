"""Cohorts whose prediction takes no time."""

import pytest
from stub_predictor import StubPredictor


@pytest.fixture
def stub(monkeypatch, tmp_path):
    """A model's file; `Predictor` is replaced by one that needs no slide reader."""
    monkeypatch.setattr("ats_mag.inference.Predictor", StubPredictor)
    monkeypatch.setattr("ats_mag.prediction.work._kept", [])
    StubPredictor.opened = 0
    model = tmp_path / "model.keras"
    model.write_text("one")
    return model
