"""The experiments on data sets: a miniature one end to end, and the table, of made-up result files."""

import json
import subprocess
import sys

import pandas as pd
import pytest
from command_line import module_here

from ats_mag.config.reading import read_config
from experiments.cohort_runs import measures, results, runs
from experiments.cohort_runs.configuration import path_of
from experiments.cohort_runs.table import NO_CHOICE, table
from experiments.common.processes import environment


def run_glas(*arguments, status=0):
    command = [sys.executable, "-m", "experiments.glas", *map(str, arguments)]
    variables = {**environment(), "COLUMNS": "500", "TF_NUM_INTRAOP_THREADS": "1"}
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, env=variables
    )
    assert done.returncode == status, done.stdout
    assert "Traceback" not in done.stdout
    return done.stdout


@pytest.mark.long
def test_a_miniature_end_to_end(tmp_path, capsys):
    out = tmp_path / "glas"
    arguments = ("--quick", "--only", "joint", "--only", "colour", "--out", out)
    said = run_glas(*arguments)
    assert "| 6 test fields | seeds | accuracy | AUC |" in said
    files = {path.name: path for path in out.glob("*.json")}
    assert sorted(files) == ["colour-seed0.json", "joint-seed0.json"]
    joint, colour = (json.loads(files[f"{name}-seed0.json"].read_text()) for name in ("joint", "colour"))
    for run in (joint, colour):
        assert {"machine", "versions", "configuration"} < set(run)
        assert set(run["slides"]["measures"]) == set(measures.MEASURES)
        assert run["slides"]["measures"]["accuracy"]["low"] <= run["slides"]["measures"]["accuracy"]["high"]
        assert str(tmp_path) not in json.dumps(run)
    assert (joint["configuration"]["seed"], joint["configuration"]["train"]["epochs"]) == (0, 1)
    assert len(joint["validation"]) == joint["folds"] == 1

    cohort = out / "stand-in" / "cohort"
    written = {name: path.stat().st_mtime_ns for name, path in files.items()}
    runs.measure(cohort, out, 1, ["joint", "colour"], quick=True)
    assert capsys.readouterr().out.splitlines() == said.splitlines()[-4:]  # nothing but the table
    assert {name: path.stat().st_mtime_ns for name, path in files.items()} == written
    config = cohort / "config.yaml"
    config.write_text(config.read_text().replace("learning_rate: 0.001", "learning_rate: 0.002"))
    with pytest.raises(ValueError, match=r"joint-seed0\.json' holds a run of another configuration \(train: .*--out"):
        runs.measure(cohort, out, 1, ["joint"], quick=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--quick",), "give another folder with --out"),
        (("data", "--quick", "--out", "x"), "leave DATA away"),
        ((), "DATA is missing"),
    ],
)
def test_bad_arguments_are_named(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert message in module_here("experiments.glas", *arguments, status=1)
    assert not list(tmp_path.rglob("*.json"))


@pytest.mark.long
def test_what_the_converter_says_is_shown(tmp_path, monkeypatch):
    """It is a process of its own, whose messages are not those of this one."""
    monkeypatch.chdir(tmp_path)
    assert "'nowhere' holds neither 'Grade.csv' nor 'labels.csv'" in run_glas("nowhere", "x", status=1)
    assert not list(tmp_path.rglob("*.json"))


def cohort_folder(folder):
    (folder / "manifest.csv").write_text("slide_id,patient_id,path,label\ns1,p1,s1.tiff,a\ns2,p2,s2.tiff,b\n")
    (folder / "slides").mkdir()
    (folder / "config.yaml").write_text("model: {magnifications: [20x, 5x]}\n")
    return folder


def test_contestants_have_configurations_of_their_own(tmp_path, monkeypatch):
    begun = []

    def measured(config, contestant, quick):
        settings = read_config(config)
        begun.append((contestant, settings.train.seed, settings.model.magnifications, settings.run.name))
        assert settings.records == tmp_path / "records"
        found = {name: {"value": 0.5, "low": 0.4, "high": 0.6} for name in measures.MEASURES}
        return {"folds": 1, "slides": {"count": 2, "measures": found}, "validation": []}

    monkeypatch.setattr(runs, "measure_one", measured)
    cohort, out = cohort_folder(tmp_path), tmp_path / "results"
    runs.measure(cohort, out, 2, ["single"])
    assert begun == [
        (f"single, {mpp:g} um/px", seed, [mpp], f"run-single-{mpp:g}-um-px-seed{seed}")
        for seed in (0, 1)
        for mpp in (0.5, 2.0)
    ]
    begun.clear()
    runs.measure(cohort, out, 2)
    assert begun == [
        ("joint", 0, [0.5, 2.0], "run-joint-seed0"),
        ("uniform", 0, [0.5, 2.0], "run-uniform-seed0"),
        ("all patches", 0, [0.5, 2.0], "run-all-patches-seed0"),
        ("colour", 0, [0.5, 2.0], "run-colour-seed0"),
        ("joint", 1, [0.5, 2.0], "run-joint-seed1"),
        ("uniform", 1, [0.5, 2.0], "run-uniform-seed1"),
        ("all patches", 1, [0.5, 2.0], "run-all-patches-seed1"),
    ]
    with pytest.raises(ValueError, match=r"--only must be one of joint; single, 0\.5 um/px; .*Received: 'best'"):
        runs.measure(cohort, out, 1, ["best"])
    manifest = cohort / "manifest.csv"
    manifest.write_text(manifest.read_text().replace("s2.tiff,b", "s2.tiff,c"))
    with pytest.raises(ValueError, match=r"joint-seed0\.json' holds a run of another configuration \(slides: "):
        runs.measure(cohort, out, 1)


def made_run(contestant, seed, accuracy, validation=(), count=60, folds=1):
    """`accuracy`: of each fold."""
    value = sum(accuracy) / len(accuracy)
    measure = {"value": value, "low": value - 0.1, "high": value + 0.1, "values": list(accuracy)}
    return {
        "configuration": {
            "contestant": contestant,
            "seed": seed,
            "model": {"magnifications": [float(word) for word in contestant.split() if word[0].isdigit()]},
        },
        "folds": folds,
        "slides": {"count": count, "measures": {"accuracy": measure, "auroc": measure}},
        "validation": [{"epoch": 9, "accuracy": a, "cross_entropy": c} for a, c in validation],
        "cohort_magnifications": [0.5, 2.0],
    }


def keep(folder, *runs):
    for run in runs:
        configuration = run["configuration"]
        path = path_of(configuration["contestant"], configuration["seed"], folder)
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(run))


FINE, COARSE = "single, 0.5 um/px", "single, 2 um/px"


def test_table_of_one_part(tmp_path):
    folder = tmp_path / "glas"
    with pytest.raises(FileNotFoundError, match=r"-seed.*glas"):
        table("glas", folder)
    keep(folder, made_run("colour", 0, [0.5]), made_run("joint", 0, [0.8]), made_run("joint", 1, [0.9]))
    # Equal accuracies: the cross-entropy decides; at seed 1 one magnification is not there.
    keep(folder, made_run(COARSE, 0, [0.6], [(0.7, 0.5)]), made_run(FINE, 0, [0.7], [(0.7, 0.6)]))
    keep(folder, made_run(COARSE, 1, [0.7], [(0.9, 0.5)]))
    assert table("glas", folder).splitlines() == [
        "| 60 test fields | seeds | accuracy | AUC |",
        "| --- | --- | --- | --- |",
        "| joint attention sampling | 2 | 0.850 (95 %: 0.750 to 0.950; seeds: 0.800 to 0.900) | 0.850 (95 %: 0.750 to 0.950; seeds: 0.800 to 0.900) |",
        "| best single magnification by validation (2 um/px: 1 of 1) | 1 | 0.600 (95 %: 0.500 to 0.700) | 0.600 (95 %: 0.500 to 0.700) |",
        "| single, 0.5 um/px | 1 | 0.700 (95 %: 0.600 to 0.800) | 0.700 (95 %: 0.600 to 0.800) |",
        "| single, 2 um/px | 2 | 0.650 (95 %: 0.550 to 0.750; seeds: 0.600 to 0.700) | 0.650 (95 %: 0.550 to 0.750; seeds: 0.600 to 0.700) |",
        "| colour histograms | 1 | 0.500 (95 %: 0.400 to 0.600) | 0.500 (95 %: 0.400 to 0.600) |",
    ]


def test_the_sweep_chooses_in_each_fold(tmp_path):
    keep(tmp_path, made_run(FINE, 0, [0.2, 0.4], [(0.9, 1), (0.5, 1)], folds=2))
    keep(tmp_path, made_run(COARSE, 0, [0.6, 0.8], [(0.8, 1), (0.6, 1)], folds=2))
    chosen = results.sweep(results.runs_by_contestant(tmp_path))[0]
    assert chosen["chosen"] == [FINE, COARSE]
    measure = chosen["slides"]["measures"]["accuracy"]
    assert measure["value"] == pytest.approx(0.5)
    assert (measure["low"], measure["high"]) == (0, 1)  # t interval of 0.2 and 0.8, cut
    found = table("tcga-prad", tmp_path)
    assert found.startswith("| 60 test slides, 2 folds |")
    assert "(0.5 um/px: 1 of 2, 2 um/px: 1 of 2)" in found


def test_without_validation_there_is_no_choice(tmp_path):
    keep(tmp_path, made_run(FINE, 0, [0.2]), made_run(COARSE, 0, [0.6]))
    found = table("bach", tmp_path)
    assert "best single magnification by" not in found
    assert found.endswith(NO_CHOICE)


def test_the_epoch_that_the_model_is_of():
    history = pd.DataFrame({"epoch": [0, 1, 2], "val_accuracy": [0.5, 0.7, 0.7], "val_loss": [0.9, 0.8, 0.7]})
    assert measures.model_epoch(history, None) == 2
    assert measures.model_epoch(history, "val_accuracy") == 1
    assert measures.model_epoch(history, "val_loss") == 2
