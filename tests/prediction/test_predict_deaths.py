"""Predicting a cohort outlives kills, and workers of a Dask cluster."""

import os
import sys
from pathlib import Path

import pandas as pd
import pytest
import stub_predictor
from stub_predictor import write_slides

from ats_mag.prediction import find_slides, predict_cohort

sys.path.append(str(Path(__file__).resolve().parents[1] / "kill"))


@pytest.mark.long
def test_kills_at_random_moments_lose_and_double_no_row(tmp_path, monkeypatch):
    from predict_kills import kill_and_compare, stub_command

    monkeypatch.setenv("STUB_SECONDS", "0.01")
    write_slides(tmp_path / "slides", 40)
    (tmp_path / "model.keras").write_text("one")
    (tmp_path / "out").mkdir()
    found = kill_and_compare(stub_command(tmp_path), tmp_path / "out", kills=6, seed=2)
    assert found["kills"] == 6
    assert found["kept_half_done"] >= 3
    assert found["finished"] >= 1


@pytest.fixture(scope="module")
def cluster():
    """Two worker processes, one of them of two threads' kind, that know the stub."""
    cloudpickle = pytest.importorskip("cloudpickle")
    dask = pytest.importorskip("dask")
    distributed = pytest.importorskip("distributed")
    cloudpickle.register_pickle_by_value(stub_predictor)

    def install(predictor):
        import ats_mag.prediction.predictor

        ats_mag.prediction.predictor.Predictor = predictor

    with (
        dask.config.set({"distributed.admin.log-length": 0}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=2, dashboard_address="127.0.0.1:0", silence_logs=50
        ) as found,
        distributed.Client(found, set_as_default=False) as client,
    ):
        client.run(install, stub_predictor.StubPredictor)
        yield found.scheduler_address, client
    cloudpickle.unregister_pickle_by_value(stub_predictor)


def test_a_cluster_predicts_the_same_and_loads_the_model_once_per_worker(cluster, stub, tmp_path, monkeypatch):
    address, client = cluster
    write_slides(tmp_path / "slides", 12, bad=[3])
    monkeypatch.chdir(tmp_path)
    slides = find_slides(["slides"])
    list(predict_cohort(stub, slides, tmp_path / "here.csv"))
    done = list(predict_cohort(stub, slides, tmp_path / "there.csv", scheduler=address))
    assert sorted(one.status for one in done) == ["failed"] + ["predicted"] * 11
    here, there = (
        pd.read_csv(tmp_path / f"{name}.csv").sort_values("path").values.tolist() for name in ("here", "there")
    )
    assert str(here) == str(there)
    for name in ("here", "there"):
        assert pd.read_csv(tmp_path / f"{name}.csv.failed.csv")["slide_id"].tolist() == ["s003"]

    def opened():
        import ats_mag.prediction.predictor

        return ats_mag.prediction.predictor.Predictor.opened

    assert max(client.run(opened).values()) == 1
    again = predict_cohort(stub, slides, tmp_path / "there.csv", scheduler=address)
    assert [one.status for one in again].count("kept") == 11


def test_a_model_that_is_another_one_at_the_workers_is_refused(cluster, stub, tmp_path, monkeypatch):
    address, _ = cluster
    slides = find_slides(write_slides(tmp_path / "slides", 2))
    monkeypatch.setattr("ats_mag.prediction.model_identity.model_fingerprint", lambda model: "other")
    with pytest.raises(RuntimeError, match=r"cannot predict slides: RuntimeError: .*another model here"):
        list(predict_cohort(stub, slides, tmp_path / "p.csv", scheduler=address))
    assert not os.path.exists(tmp_path / "p.csv.failed.csv")
