"""The experiment on adaptive prediction simulates what prediction does."""

import json

import numpy as np
import pytest

from ats_mag.model.adaptive.options import AdaptiveOptions
from ats_mag.model.adaptive.predict import predict_adaptively
from ats_mag.records.dataset import dataset
from ats_mag.records.record import find_records
from experiments.adaptive import experiment
from experiments.adaptive.fixed_n import smallest
from experiments.adaptive.simulation import simulator, stop
from experiments.adaptive.slides import Slides


@pytest.mark.long
def test_a_simulated_run_is_a_prediction_and_the_report_is_whole(build, cohort, records, tmp_path, monkeypatch):
    model = build()
    rng = np.random.default_rng(1)
    model.head.kernel.assign(rng.normal(0, 2, model.head.kernel.shape))
    model.save(tmp_path / "m.keras")
    slides = Slides(model, records, cohort / "slides", "test", None, tmp_path / "cells.npz")
    simulate = simulator(slides, 0.05, 3)
    options = AdaptiveOptions(0.95, block=5, first=3, min_patches=3)
    for i, one in enumerate(dataset(find_records(records, "test"), cohort / "slides", None, 1)):
        noise = rng.random((1, slides.attention[i].size), dtype="float32")
        expected = predict_adaptively(model, one, options, noise)[0]
        run = simulate(i, noise)
        n, wrong = stop(run, options)
        assert n == expected.n_patches
        assert wrong == (expected.probabilities.argmax() != run.truth.argmax())
        exact = model.classify_exhaustively(one, model.attend(one)).numpy()[0]
        assert run.truth.argmax() == exact.argmax()

    monkeypatch.setattr(experiment, "FIRST", (0,))
    out = tmp_path / "adaptive.json"
    experiment.main("made", tmp_path / "m.keras", records, cohort / "slides", "test", 6, 0.95, tmp_path / "cache", out)
    report = json.loads(out.read_text())["datasets"]["made"]
    assert (report["slides"], report["runs"]) == (2, 6)
    assert str(tmp_path) not in out.read_text()
    largest = report["cells"]["largest"]
    assert all(0 < n <= largest for n in report["fixed_n_of_interval"].values())
    assert report["fixed_n_of_the_adaptive_test"] <= report["adaptive_by_block"]["1"]["patches"]["largest"]


def test_intervals_of_the_shares():
    assert experiment.clopper_pearson(0, 10)[0] == 0
    assert experiment.clopper_pearson(0, 10)[1] == pytest.approx(1 - 0.025**0.1)
    assert smallest(lambda n: n >= 17, 40) == 17
    assert smallest(lambda n: False, 40) == 40
