"""A run from its splits and models to measures and figures, in Python and on the command line."""

import json
import os
import shutil
import subprocess
import sys
import warnings
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from command_line import WIDE, here
from typer.testing import CliRunner

from ats_mag.cli import app, console
from ats_mag.config.reading import read_config
from ats_mag.config.schema import RunConfig
from ats_mag.evaluation.folds import t_interval
from ats_mag.evaluation.result_files import read_table
from ats_mag.evaluation.scored_table import EvaluationWarning, UndefinedMeasureWarning
from ats_mag.runs.run import Run

pytestmark = pytest.mark.needs_tensorflow

CLASSES = ["a", "b"]


@pytest.fixture
def run(slides, tmp_path):
    """`run(text, folds)` -> the path of a configuration of a trained run with these folds' test patients."""

    def make(evaluate="", folds=(("p0", "p1"), ("p2", "p3", "p4")), labels=None, head="single_label"):
        table = pd.read_csv(slides / "manifest.csv")[["slide_id", "patient_id", "label"]]
        for k, patients in enumerate(folds):
            table[f"fold_{k}"] = np.where(table["patient_id"].isin(patients), "test", "train")
            (tmp_path / "run" / f"fold-{k}").mkdir(parents=True)
            shutil.copy(slides / "model.keras", tmp_path / "run" / f"fold-{k}")
        manifest = pd.read_csv(slides / "manifest.csv")
        manifest["label"] = table["label"] = table["label"] if labels is None else labels
        manifest.to_csv(tmp_path / "manifest.csv", index=False)
        table.to_csv(tmp_path / "run" / "splits.csv", index=False)
        shutil.copytree(slides / "records", tmp_path / "run" / "records")
        kind = f"kfold, folds: {len(folds)}" if len(folds) > 1 else "holdout"
        text = f"data: {{slides: {slides / 'slides'}}}\nsplits: {{kind: {kind}}}\n"
        text += f"model: {{head: {head}}}\nevaluate: {{resamples: 50, {evaluate}}}\n"
        (tmp_path / "run.yaml").write_text(text)
        return tmp_path / "run.yaml"

    return make


def ats_mag(*arguments):
    """Output and warnings of a command."""
    console.console.width = 200
    done = CliRunner().invoke(app, list(map(str, arguments)))
    if done.exception:
        raise done.exception
    return done.stdout, done.stderr


def measure_fold(path, fold=0):
    from ats_mag.evaluation.evaluate import evaluate_fold

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMeasureWarning)
        return evaluate_fold(Run.open_divided(read_config(path)), fold)


def test_the_command_from_models_to_figures(run, tmp_path):
    config = run()
    out, error = ats_mag("evaluate", config)
    assert "Fold 0: 4 slides, 2 patients" in out
    assert "Fold 1: 4 slides, 3 patients" in out
    assert "All 2 folds" in out
    assert "AUROC" in out
    assert "recall, b" in out
    assert "In brackets: 95 % bootstrap intervals over patients." in out
    assert error == ""
    folder = tmp_path / "run"
    figures = {"roc.svg", "precision_recall.svg", "reliability.svg", "confusion.svg"}
    tables = {"slides.csv", "patients.csv"}
    for k in range(2):
        assert {f.name for f in (folder / f"fold-{k}").iterdir()} == {"model.keras", "metrics.json"} | tables | figures
    assert {f.name for f in folder.glob("*.*")} == {
        "splits.csv",
        "evaluation.json",
        "config.yaml",
        "run.json",
        "manifest.csv",
        "report.html",
    } | tables | figures
    table = pd.read_csv(folder / "fold-1" / "slides.csv")
    assert list(table) == ["slide_id", "patient_id", "label", "p_a", "p_b", "predicted"]
    assert table["slide_id"].tolist() == ["s4", "s5", "s6", "s7"]
    np.testing.assert_allclose(table["p_a"] + table["p_b"], 1, atol=1e-6)
    patients = pd.read_csv(folder / "fold-1" / "patients.csv")
    np.testing.assert_allclose(patients["p_a"], table.groupby("patient_id")["p_a"].mean(), atol=1e-12)
    pooled = pd.read_csv(folder / "slides.csv")
    assert pooled["fold"].tolist() == [0] * 4 + [1] * 4
    found = json.loads((folder / "evaluation.json").read_text())
    folds = [json.loads((folder / f"fold-{k}" / "metrics.json").read_text()) for k in range(2)]
    values = [fold["slides"]["measures"]["accuracy"]["value"] for fold in folds]
    assert found["slides"]["mean"]["accuracy"]["value"] == pytest.approx(np.mean(values))
    assert found["slides"]["pooled"]["measures"]["accuracy"]["value"] == pytest.approx(
        (pooled["predicted"] == pooled["label"]).mean()
    )


@pytest.mark.long
def test_another_process_finds_the_same_to_the_byte(run, tmp_path):
    config = run("figures: false", folds=[["p0", "p1"]])
    out, _ = ats_mag("evaluate", config)
    before = {f: f.read_bytes() for f in (tmp_path / "run").rglob("*.*") if f.suffix in (".csv", ".json")}
    assert {"slides.csv", "metrics.json", "evaluation.json"} <= {f.name for f in before}
    command = [sys.executable, "-m", "ats_mag.cli", "evaluate", str(config)]
    again = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | {"COLUMNS": "200"})
    assert (again.stdout, again.stderr) == (out, "")
    assert all(f.read_bytes() == content for f, content in before.items())


@pytest.mark.long
def test_one_fold_at_a_time_and_undefined_measures(run, tmp_path):
    config = run("figures: false, method: priority, draws: 2", folds=[["p0"], ["p1", "p2"], []])
    out, error = ats_mag("evaluate", config, "--fold", 0)
    assert "the AUROC of a single draw is undefined" in out
    assert error.count("warning: fold 0, slides: undefined (NaN): auroc_a, auroc: every slide is of class") == 1
    assert "still to do: 1, 2" in out
    assert not (tmp_path / "run" / "evaluation.json").exists()
    ats_mag("evaluate", config, "--fold", 1)
    out, error = ats_mag("evaluate", config, "--fold", 2)
    assert "Fold 2: 0 slides, 0 patients" in out
    assert "there is no slide to measure" in error
    assert "undefined in fold(s) 0, 2, so that means are over the other 1: auroc" in error
    found = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert found["slides"]["mean"]["auroc"]["values"][0] is None
    assert len(pd.read_csv(tmp_path / "run" / "patients.csv")) == 3


@pytest.mark.long
def test_folds_are_pooled_only_where_they_were_measured_alike_and_with_the_models_that_are_there(run, slides, tmp_path):
    config = run("figures: false, method: sequential, draws: 2")
    ats_mag("evaluate", config, "--fold", 0)
    text = config.read_text()
    config.write_text(text.replace("draws: 2", "draws: 3"))
    with pytest.raises(
        ValueError, match=r"fold 1 was measured otherwise \(sequential, 3 draws .* fold 0 \(sequential, 2\)"
    ):
        ats_mag("evaluate", config, "--fold", 1)
    config.write_text(text)
    ats_mag("evaluate", config, "--fold", 1)
    from ats_mag.model.saving import load_model

    model = load_model(slides / "model.keras", compile=False)
    model.head.bias.assign([1.0, 0.0])
    model.save(tmp_path / "run" / "fold-0" / "model.keras")
    out, _ = ats_mag("evaluate", config, "--fold", 1)
    assert "still to do: 0" in out
    out, _ = ats_mag("evaluate", config, "--fold", 0)
    assert "All 2 folds" in out


@pytest.mark.graphs
def test_a_test_part_of_which_no_slide_can_be_read_is_an_error(run, slides, tmp_path):
    config = run("figures: false, on_bad_slide: skip")
    (tmp_path / "empty").mkdir()
    config.write_text(config.read_text().replace(str(slides / "slides"), str(tmp_path / "empty")))
    with pytest.raises(OSError, match=r"none of 4 slides can be read, e\.g\. 's0': .*s0\.tif"):
        measure_fold(config)


def test_errors_name_what_to_do(run, tmp_path):
    config = run()
    with pytest.raises(ValueError, match=r"has the folds 0 to 1\. Received: 7"):
        ats_mag("evaluate", config, "--fold", 7)
    for k in range(2):
        (tmp_path / "run" / f"fold-{k}" / "model.keras").rename(tmp_path / f"{k}.keras")
    with pytest.raises(FileNotFoundError, match=r"fold 0 has no trained model.*ats-mag train"):
        ats_mag("evaluate", config)
    with pytest.raises(FileNotFoundError, match=r"fold 1 has no trained model.*ats-mag train"):
        ats_mag("evaluate", config, "--fold", 1)
    (tmp_path / "run" / "splits.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"splits.csv"):
        ats_mag("evaluate", config)


def test_while_a_fold_is_not_trained_the_others_are_measured_as_a_part(run, tmp_path):
    config = run("figures: false")
    (tmp_path / "run" / "fold-1" / "model.keras").unlink()
    out, error = here("evaluate", config, status=1, width=WIDE)
    assert "Fold 0: 4 slides" in out
    assert "evaluation-partial.json" in out
    assert error.count("partial: fold(s) 1 are not trained") == 2  # before the work, and after it
    assert "over fold(s) 0 goes to evaluation-partial.json" in error
    assert json.loads((tmp_path / "run" / "evaluation-partial.json").read_text())["partial"] == {
        "missing": [1],
        "of": 2,
    }
    assert not (tmp_path / "run" / "evaluation.json").exists()
    assert "No model yet of fold 1" in (tmp_path / "run" / "report.html").read_text()


def test_manifest_and_slides_are_looked_at_once_for_all_folds(run, tmp_path, monkeypatch):
    from ats_mag.cohort import fingerprints
    from ats_mag.runs import comparability
    from ats_mag.runs import run as runs

    calls = Counter()

    def counted(function):
        def call(*arguments, **options):
            calls[function.__name__] += 1
            return function(*arguments, **options)

        return call

    monkeypatch.setattr(runs, "load_manifest", counted(runs.load_manifest))
    monkeypatch.setattr(comparability, "fingerprints", counted(comparability.fingerprints))
    monkeypatch.setattr(fingerprints, "fingerprint", counted(fingerprints.fingerprint))
    ats_mag("evaluate", run("figures: false"))
    assert (tmp_path / "run" / "evaluation.json").exists()
    assert calls == {"load_manifest": 1, "fingerprints": 1, "fingerprint": 8}  # slides


def test_draws_show_the_noise_of_sampling(run, tmp_path):
    found = measure_fold(run("method: sequential, draws: 3, figures: false"))
    assert found["draws"] == 3
    assert found["sampling_noise"]["largest_sd"] > 0
    table = read_table(tmp_path / "run" / "fold-0" / "slides.csv")
    assert list(table)[3:] == ["p_a", "p_b", "predicted", "sd_a", "sd_b"]
    assert (table["sd_a"] > 0).any()
    np.testing.assert_allclose(table["sd_a"], table["sd_b"], rtol=1e-4)


def test_a_method_without_chance_needs_one_draw(run, tmp_path):
    config = run("draws: 4, figures: false")
    out, _ = ats_mag("evaluate", config, "--fold", 0)
    assert "topk takes the same patches every time, draws would not vary" in out
    assert (read_table(tmp_path / "run" / "fold-0" / "slides.csv")["sd_a"] == 0).all()


@pytest.mark.long
@pytest.mark.graphs
def test_slides_that_are_left_out_are_named(run, slides, tmp_path):
    config = run("figures: false, on_bad_slide: skip")
    (tmp_path / "run" / "records" / "s0.tfrecord").unlink()
    shutil.copytree(slides / "slides", tmp_path / "slides")
    whole = (tmp_path / "slides" / "s2.tif").read_bytes()
    (tmp_path / "slides" / "s2.tif").write_bytes(whole[: len(whole) // 2])
    config.write_text(config.read_text().replace(str(slides / "slides"), str(tmp_path / "slides")))
    with pytest.warns(EvaluationWarning) as caught:
        found = measure_fold(config)
    said = " ".join(str(w.message) for w in caught)
    assert "fold 0: 1 test slides have no record and are not measured (run `ats-mag prepare`): 's0'" in said
    assert "fold 0: 1 test slides could not be read" in said
    assert found["without_record"] == ["s0"]
    assert list(found["unreadable"]) == ["s2"]
    assert "s2.tif" in found["unreadable"]["s2"]
    assert found["slides"]["count"] == 2
    config.write_text(config.read_text().replace("on_bad_slide: skip", "on_bad_slide: raise"))
    with pytest.raises(OSError, match=r"s2\.tif"):
        measure_fold(config)


def test_a_patient_with_slides_of_different_labels(run):
    config = run("figures: false", labels=["a", "b", *"bbabbb"])
    with pytest.warns(EvaluationWarning, match="1 patients have slides of different labels.*'p0'"):
        found = measure_fold(config)
    assert found["patients_without_label"] == ["p0"]
    assert (found["slides"]["count"], found["patients"]["count"]) == (4, 1)


@pytest.mark.parametrize("head", ["binary", "multi_label"])
def test_other_heads(run, slides, tmp_path, head):
    from ats_mag.model.built_in_networks import attention_network, feature_network
    from ats_mag.model.classifier import SlideClassifier

    networks = {"attention": attention_network(2, 4, (8, 8)), "feature": feature_network(32, 8, (8, 8))}
    model = SlideClassifier(CLASSES, patch_size=32, n_patches=4, head=head, seed=1, **networks)
    labels = ["a", "b;a", "b", "b", *"abbb"] if head == "multi_label" else None
    config = run("figures: false", labels=labels, head=head)
    model.save(tmp_path / "run" / "fold-0" / "model.keras")
    found = measure_fold(config)
    assert found["head"] == head
    table = read_table(tmp_path / "run" / "fold-0" / "slides.csv")
    assert 0 <= found["slides"]["measures"]["accuracy"]["value"] <= 1
    assert np.shape(found["slides"]["confusion"]["counts"]) == ((2, 2) if head == "binary" else (2, 2, 2))
    if head == "binary":
        np.testing.assert_allclose(table["p_a"], 1 - table["p_b"], atol=1e-6)


@pytest.mark.long
def test_baselines_stand_beside_every_evaluation(run, tmp_path):
    """The commonest class of the training slides, and what the experiment on colour measures on the same test slides."""
    from experiments.colour_baseline.folds import main as measure_colour

    out, _ = ats_mag("evaluate", run("figures: false"))
    assert "slides, majority class" in out
    assert "slides, colour histogram" in out
    table = pd.read_csv(tmp_path / "run" / "splits.csv")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMeasureWarning)
        measure_colour(tmp_path / "run.yaml")
    accuracies = []
    for k in range(2):
        found = json.loads((tmp_path / "run" / f"fold-{k}" / "metrics.json").read_text())["baseline"]
        colour = json.loads((tmp_path / "run" / "colour-baseline" / f"fold-{k}" / "metrics.json").read_text())
        for level in ("slides", "patients"):
            expected = {name: measure["value"] for name, measure in colour[level]["measures"].items()}
            assert found["colour_histogram"][level] == expected
        train, test = (table["label"][table[f"fold_{k}"] == part] for part in ("train", "test"))
        majority = train.value_counts().sort_index().idxmax()
        accuracies.append(float((test == majority).mean()))
        assert found["majority_class"]["slides"]["accuracy"] == pytest.approx(accuracies[-1])
        assert found["majority_class"]["trained_on"] == len(train)
    evaluation = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert evaluation["baseline"]["majority_class"]["slides"]["accuracy"] == pytest.approx(np.mean(accuracies))
    folder = tmp_path / "run" / "colour-baseline"  # it writes the same files
    assert {f.name for f in (folder / "fold-0").iterdir()} == {"slides.csv", "patients.csv", "metrics.json"}
    assert {f.name for f in folder.glob("*.*")} == {"slides.csv", "patients.csv", "evaluation.json"}
    predicted = read_table(folder / "slides.csv")
    np.testing.assert_allclose(predicted["p_a"] + predicted["p_b"], 1)
    shutil.rmtree(folder)
    page = CliRunner().invoke(app, ["report", str(tmp_path / "run.yaml")])
    assert page.exit_code == 0, page.output
    assert (
        "Baselines on the same test slides, mean over the folds: majority class:"
        in (tmp_path / "run" / "report.html").read_text()
    )


def test_the_interval_over_folds():
    # Three values: t(0.975, 2) = 4.3027, s = 0.02, half width 4.3027 * 0.02 / sqrt(3).
    assert t_interval(np.array([0.5, 0.52, np.nan, 0.48]), 0.95) == pytest.approx(
        (0.5, 0.5 - 0.04968, 0.5 + 0.04968), abs=1e-5
    )
    assert t_interval(np.array([1.0, 0.9]), 0.95)[2] == 1
    assert t_interval(np.array([0.7]), 0.95) == pytest.approx((0.7, np.nan, np.nan), nan_ok=True)
    assert np.isnan(t_interval(np.array([np.nan]), 0.95)).all()


def test_defaults():
    assert RunConfig().evaluate.model_dump() == {
        "method": None,
        "draws": 1,
        "on_bad_slide": "raise",
        "resamples": 2000,
        "confidence": 0.95,
        "figures": True,
    }
