"""The whole way on the command line, and its errors: one message, no traceback, a non-zero status, nothing half-written."""

import io
import subprocess
import sys

import pandas as pd
import pytest
import yaml
from command_line import here


def ats_mag(*arguments, status=0):
    command = [sys.executable, "-m", "ats_mag.cli", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout, done.stderr


def test_from_slides_to_predictions(cohort, tmp_path, monkeypatch):
    monkeypatch.setattr("ats_mag.model.training_step.DEFAULT_PARTS", 1)
    config = {
        "run": "run",
        "data": {"slides": str(cohort / "slides"), "manifest": str(cohort / "manifest.csv")},
        "splits": {"kind": "manifest", "validation": 0},
        "prepare": {"records": "records", "overview_mpp": 16},
        "model": {"encoder": "small", "patch_size": 32, "n_patches": 4, "stride": 4},
        "train": {
            "epochs": 2,
            "batch_size": 4,
            "local_copies": "near",
            "local_copies_gb": 0.01,
            "deterministic": False,  # which would hold for all tests to come
        },
        "evaluate": {"figures": False, "resamples": 50},
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(config))
    out, _ = here("prepare", tmp_path / "run.yaml")
    assert "6 slides: 6 written, 0 kept, 0 failed" in out
    assert "kB per slide" in out
    out, _ = here("train", tmp_path / "run.yaml")
    assert "fold-0/model.keras" in out
    assert sorted(p.name.partition("-")[2] for p in (tmp_path / "near").glob("*.tif")) == [
        f"s{i}.tif" for i in range(4)
    ]
    out, _ = here("train", tmp_path / "run.yaml")
    assert "fold 0 is trained already" in out
    out, _ = here("evaluate", tmp_path / "run.yaml")
    assert "balanced" in out
    model = tmp_path / "run" / "fold-0" / "model.keras"
    predictions = pd.read_csv(tmp_path / "run" / "fold-0" / "slides.csv")
    slide = cohort / "slides" / f"{predictions['slide_id'][0]}.tif"
    out, _ = here("predict", model, slide, "--out", tmp_path / "m.csv")
    assert "1 slides: 1 predicted, 0 kept, 0 failed" in out
    row = pd.read_csv(tmp_path / "m.csv").iloc[0]
    assert row["path"] == str(slide)
    assert row["predicted"] == predictions["predicted"][0]
    assert row["p_a"] == pytest.approx(predictions["p_a"][0], abs=1e-3)
    here("predict", model, slide, "--adaptive", "--confidence", 0.999, "--max-patches", 6, "--out", tmp_path / "p.csv")
    row = pd.read_csv(tmp_path / "p.csv").iloc[0]
    assert (row["n_patches"], row["stopped"]) == (6, "max_patches")
    assert row["low_a"] < row["p_a"] < row["high_a"]
    _, error = here("predict", model, slide, tmp_path / "none.tif", "--out", tmp_path / "q.csv", status=1)
    assert "none.tif" in error
    assert not (tmp_path / "q.csv").exists()
    _predict_a_cohort(model, cohort, tmp_path)


def _predict_a_cohort(model, cohort, folder):
    (folder / "more").mkdir()
    (folder / "more" / "torn.tif").write_bytes((cohort / "slides" / "s0.tif").read_bytes()[:2000])
    arguments = ("predict", model, folder / "more", cohort / "manifest.csv", "--slide-root", cohort / "slides")
    out, error = here(*arguments, "--out", folder / "m.csv", status=1)
    assert "7 slides: 5 predicted, 1 kept, 1 failed" in out
    assert "predicted 7/7, 1 failed" in error
    assert "torn.tif: cannot open slide" in error
    assert str(folder / "m.csv.failed.csv") in error
    assert pd.read_csv(folder / "m.csv.failed.csv")["slide_id"].tolist() == ["torn"]
    written = pd.read_csv(folder / "m.csv", float_precision="round_trip")
    assert sorted(written["slide_id"]) == [f"s{i}" for i in range(6)]
    out, error = here(*arguments, status=1)  # to standard output
    assert "torn.tif" in error
    printed = pd.read_csv(io.StringIO(out), float_precision="round_trip").set_index("path")
    assert list(printed) == ["p_a", "p_b", "p_c", "predicted"]
    assert printed["p_a"].to_dict() == written.set_index("path")["p_a"].to_dict()


def test_info_and_doctor(cohort):
    out, _ = here("info", cohort / "slides" / "s0.tif")
    assert "0.5 um/px (20x), from openslide.mpp-x" in out
    out, _ = here("doctor")
    assert "openslide" in out


def test_bad_input(cohort, tmp_path):
    _, error = ats_mag("info", tmp_path / "none.svs", status=1)
    assert error.count("\n") == 1
    assert "none.svs" in error
    _, error = here("prepare", tmp_path / "none.yaml", status=1)
    assert "none.yaml" in error
    _, error = here("train", tmp_path / "none.yaml", status=1)
    assert "ats-mag init" in error
    (tmp_path / "bad.yaml").write_text("model: {head: softmax, patch_size: 0}\ntrain: {local_copies_gb: 0, speed: 3}")
    _, error = here("train", tmp_path / "bad.yaml", status=1)
    for key in ("model.head", "model.patch_size", "train.local_copies_gb", "train.speed"):
        assert key in error
    assert not (tmp_path / "run").exists()


def test_the_version():
    import ats_mag

    out, _ = here("--version")
    assert out == f"ats-mag {ats_mag.__version__}\n"
    assert "--version" in here("--help")[0]


def test_help_is_quick_because_nothing_heavy_is_imported():
    code = "import sys, ats_mag.cli; print([m for m in ('tensorflow', 'keras', 'pandas', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    out, _ = ats_mag("--help")
    assert "prepare" in out
