"""The whole way on the command line, and its errors: one message, no traceback, a non-zero status, nothing half-written."""

import subprocess
import sys

import pandas as pd
import pytest
import yaml


def ats_mag(*arguments, status=0):
    command = [sys.executable, "-m", "ats_mag.cli", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout, done.stderr


def test_from_slides_to_predictions(cohort, tmp_path):
    root = ("--slide-root", cohort / "slides")
    config = {
        "run": "prepared",
        "data": {"slides": str(cohort / "slides"), "manifest": str(cohort / "manifest.csv")},
        "splits": {"validation": 0},
        "prepare": {"records": "records", "overview_mpp": 16},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    out, _ = ats_mag("prepare", tmp_path / "config.yaml")
    assert "6 slides: 6 written, 0 kept, 0 failed" in out
    assert "kB per slide" in out
    small = ("--patch-size", 32, "--n-patches", 4, "--stride", 4, "--epochs", 2)
    near = ("--local-copies", tmp_path / "near", "--local-copies-gb", 0.001)
    ats_mag("train", tmp_path / "records", tmp_path / "run", *root, "--split", "train", *small, *near)
    assert sorted(p.name.partition("-")[2] for p in (tmp_path / "near").glob("*.tif")) == [
        f"s{i}.tif" for i in range(4)
    ]
    assert {p.name for p in (tmp_path / "run").iterdir()} == {"model.keras", "history.csv", "run.json"}
    _, error = ats_mag("train", tmp_path / "records", tmp_path / "run", *root, *small, status=1)
    assert "exists already" in error
    model = tmp_path / "run" / "model.keras"
    table = tmp_path / "predictions.csv"
    out, _ = ats_mag("evaluate", model, tmp_path / "records", *root, "--split", "train", "--out", table, *near)
    assert "accuracy" in out
    predictions = pd.read_csv(table)
    assert list(predictions) == ["slide_id", "patient_id", "label", "p_a", "p_b", "p_c"]
    ats_mag("export", model, tmp_path / "saved")
    slide = cohort / "slides" / "s0.tif"
    for source in (model, tmp_path / "saved"):
        ats_mag("predict", source, slide, "--out", tmp_path / "p.csv")
        row = pd.read_csv(tmp_path / "p.csv").iloc[0]
        assert row["path"] == str(slide)
        assert row["p_a"] == pytest.approx(predictions["p_a"][0], abs=1e-3)
    _, error = ats_mag("predict", model, slide, tmp_path / "none.tif", "--out", tmp_path / "q.csv", status=1)
    assert "none.tif" in error
    assert not (tmp_path / "q.csv").exists()


def test_info_and_doctor(cohort):
    out, _ = ats_mag("info", cohort / "slides" / "s0.tif")
    assert "0.5 um/px (20x), from openslide.mpp-x" in out
    out, _ = ats_mag("doctor")
    assert "openslide" in out


def test_bad_input(cohort, tmp_path):
    _, error = ats_mag("info", tmp_path / "none.svs", status=1)
    assert error.count("\n") == 1
    assert "none.svs" in error
    _, error = ats_mag("prepare", tmp_path / "none.yaml", status=1)
    assert "none.yaml" in error
    _, error = ats_mag("train", tmp_path, tmp_path / "run", status=1)
    assert "ats-mag prepare" in error
    _, error = ats_mag("train", tmp_path, tmp_path / "run", "--local-copies-gb", 0, status=1)
    assert "local_copies_gb" in error
    _, error = ats_mag("train", tmp_path, tmp_path / "run", "--head", "softmax", "--patch-size", 0, status=1)
    assert "head" in error
    assert "patch_size" in error
    assert not (tmp_path / "run").exists()


def test_help_is_quick_because_nothing_heavy_is_imported():
    code = "import sys, ats_mag.cli; print([m for m in ('tensorflow', 'keras', 'pandas', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    out, _ = ats_mag("--help")
    assert "prepare" in out
