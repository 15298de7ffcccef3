"""The card of an exported model, and the page about serving, whose snippets are run as they stand."""

import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ats_mag.cli.export import export
from ats_mag.model.export.description import CARD, INTENDED_USE, MODEL_CARD
from ats_mag.model.export.savedmodel import export_model
from ats_mag.runs.model_card import model_card
from ats_mag.slides.shared_library import load_op

DOCS = Path(__file__).resolve().parents[2] / "docs"
MEASURE = {"value": 0.5, "low": 0.25, "high": None, "undefined_resamples": 0}


@pytest.fixture
def run(build, tmp_path):
    """A model in a run's folder, and what the run says of it: two folds, fold 1 measured."""
    folder = tmp_path / "study"
    (folder / "fold-1").mkdir(parents=True)
    model = build()
    model.save(folder / "fold-1" / "model.keras")
    splits = pd.DataFrame({"slide_id": [f"s{i}" for i in range(6)], "patient_id": ["p0", "p0", "p1", "p2", "p3", "p4"]})
    splits["label"], splits["site"] = ["a", "a", "b", "c", "a", "b"], ""
    splits["fold_0"] = ["test", "test", "train", "train", "train", "train"]
    splits["fold_1"] = ["train", "train", "train", "train", "test", "test"]
    splits.to_csv(folder / "splits.csv", index=False)
    head = {"model": {"head": "single_label"}}
    stored = {"classes": ["a", "b", "c"], "config": head, "left_out": {"odd": 2}, "versions": {"keras": "3.old"}}
    (folder / "run.json").write_text(json.dumps(stored))
    level = {"count": 2, "patients": 2, "measures": {"auroc": MEASURE}, "confusion": {}}
    metrics = {"fold": 1, "method": "topk", "draws": 1, "confidence": 0.95, "resamples": 10}
    (folder / "fold-1" / "metrics.json").write_text(json.dumps(metrics | {"slides": level, "patients": level}))
    return model, folder / "fold-1" / "model.keras"


def test_a_model_of_a_run_says_what_it_was_trained_on(run):
    model, file = run
    card = model_card(model, file, "To sort slides.")
    json.dumps(card)
    assert card["model_file"] == {"name": "model.keras", "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    training = card["training"]
    assert (training["run"], training["fold"], training["left_out"]) == ("study", 1, {"odd": 2})
    train = training["parts"]["train"]
    assert (train["slides"], train["patients"]) == (4, 3)
    assert train["classes"]["a"] == {"slides": 2, "patients": 1}
    assert training["parts"]["test"]["classes"]["c"] == {"slides": 0, "patients": 0}
    assert card["measures"]["slides"] == {"count": 2, "measures": {"auroc": {"value": 0.5, "low": 0.25, "high": None}}}
    assert card["measures"]["part"] == "test"
    assert card["versions"]["training"] == {"keras": "3.old"}
    assert card["versions"]["export"]["ats_mag"]
    assert card["intended_use"] == "To sort slides."


def test_what_is_not_known_is_none(run, tmp_path):
    model, file = run
    alone = tmp_path / "elsewhere" / "m.keras"
    alone.parent.mkdir()
    shutil.copy(file, alone)
    card = model_card(model, alone)
    assert card["training"] is card["measures"] is card["versions"]["training"] is None
    assert card["model_file"]["name"] == "m.keras"
    assert card["intended_use"] == INTENDED_USE
    assert model_card(model)["model_file"] is None
    (file.parent / "metrics.json").unlink()
    card = model_card(model, file)
    assert card["measures"] is None
    assert card["training"]["fold"] == 1


@pytest.mark.long
def test_both_exports_hold_it_and_a_damaged_run_is_told_before(run, tmp_path):
    model, file = run
    stated = model_card(model, file, "To sort slides.")
    for folder in export_model(model, tmp_path / "served", stated):
        card = json.loads((folder / MODEL_CARD).read_text())
        assert card == stated
        assert card["model"] == json.loads((folder / CARD).read_text())
    (file.parent / "metrics.json").write_text("[]")
    with pytest.raises(ValueError, match=r"metrics.json.*is damaged"):
        export(file, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def snippets():
    """The files that the page tells to write, by name."""
    page = (DOCS / "serving.md").read_text()
    found = dict(re.findall(r"^`(\w+\.py)`:\n\n```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE))
    assert len(found) == page.count("```python")  # each has a name, and none is left out
    return found


@pytest.mark.long
def test_the_page_about_serving(build, cohort, tmp_path):
    model = build()
    model.export(tmp_path / "served")
    shutil.copy(load_op(), tmp_path / "_ats_mag_op.so")
    (tmp_path / "slides").mkdir()
    names = ("one.tif", "two.tif")
    for i, name in enumerate(names, 1):
        shutil.copy(cohort / "slides" / f"s{i}.tif", tmp_path / "slides" / name)
    (tmp_path / "slides" / "bad.tif").write_text("no slide")
    files = snippets()
    assert set(files) == {"predict.py", "server.py", "client.py"}
    for name, text in files.items():
        assert "import ats_mag" not in text
        (tmp_path / name).write_text(text)

    # As on a machine that has never seen the package: nothing that this process has set helps.
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("ATS_MAG", "PYTHON"))}

    def python(*arguments):
        command = [sys.executable, *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=bare, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    lines = python("predict.py", "slides/one.tif", "slides/two.tif").splitlines()
    one = {
        name: tuple(json.loads(line.split(maxsplit=1)[1].replace("'", '"')).values())
        for name, line in zip(names, lines, strict=True)
    }
    assert list(map(len, one.values())) == [3, 3]
    assert lines[0].startswith("slides/one.tif {'a': ")

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with subprocess.Popen(
        [sys.executable, "server.py", "slides", str(port)], cwd=tmp_path, env=bare, stderr=subprocess.DEVNULL
    ) as server:
        try:
            base = f"http://127.0.0.1:{port}/"
            assert ask(base + "card", patience=60)["model"]["classes"] == ["a", "b", "c"]
            for name in names:
                np.testing.assert_allclose(list(ask(base + name).values()), one[name], atol=6e-4)
            for name, status in (
                ("none.tif", 404),
                ("../predict.py", 404),
                ("%2e%2e/predict.py", 404),
                ("bad.tif", 422),
            ):
                with pytest.raises(urllib.error.HTTPError) as refused:
                    ask(base + name)
                assert refused.value.code == status
                refused.value.close()
        finally:
            server.terminate()

    found = python("client.py", "slides/one.tif").replace("'", '"')
    apart = np.abs(np.subtract(one["one.tif"], one["two.tif"])).max()
    assert np.abs(np.subtract(list(json.loads(found).values()), one["one.tif"])).max() < max(0.3 * apart, 2e-3)


def ask(address, patience=0):
    """The JSON at an address; waits for the server to be there."""
    until = time.monotonic() + patience
    while True:
        try:
            with urllib.request.urlopen(address) as answer:
                return json.load(answer)
        except urllib.error.HTTPError:
            raise
        except urllib.error.URLError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


def test_a_model_may_lie_where_one_stands(build, tmp_path, monkeypatch):
    model = build()
    model.save(tmp_path / "m.keras")
    monkeypatch.chdir(tmp_path)
    assert model_card(model, "m.keras")["model_file"]["name"] == "m.keras"
