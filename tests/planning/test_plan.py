"""A plan of files: from slides and a table to a configuration that `validate` passes."""

import os
from pathlib import Path

import pandas as pd
import pytest
import yaml
from made_cohort import write_slide
from typer.testing import CliRunner

import ats_mag
from ats_mag.cli import app
from ats_mag.config.reading import ConfigError, read_config
from ats_mag.config.template import template
from ats_mag.runs.validate import validate

pytestmark = pytest.mark.needs_tensorflow
SLIDES = Path(os.environ.get("ATS_MAG_DATA", Path(__file__).resolve().parents[3] / "shared" / "data")) / "slides"


@pytest.fixture
def study(tmp_path):
    """Twelve sound slides, one that is cut off, and one that states no um/px; labels do not follow the scanner."""
    (tmp_path / "slides").mkdir()
    rows = []
    for i in range(12):
        write_slide(tmp_path / "slides" / f"s{i}.tif", i, mpp=(0.25, 0.5)[i // 2 % 2])
        rows.append((f"s{i}", f"p{i}", f"s{i}.tif", "ab"[i % 2]))
    write_slide(tmp_path / "slides" / "bare.tif", 1, mpp=None)
    write_slide(tmp_path / "slides" / "cut.tif", 2)
    (tmp_path / "slides" / "cut.tif").write_bytes((tmp_path / "slides" / "cut.tif").read_bytes()[:5000])
    rows += [("bare", "q0", "bare.tif", "a"), ("cut", "q1", "cut.tif", "b")]
    table = pd.DataFrame(rows, columns=["slide_id", "patient_id", "path", "label"])
    table.to_csv(tmp_path / "manifest.csv", index=False)
    return tmp_path


def command(study, *arguments):
    known = ["plan", study / "manifest.csv", "--slides", study / "slides", "--out", study / "c.yaml", "--no-probe"]
    return CliRunner().invoke(app, [*map(str, known), *arguments])


@pytest.mark.long
def test_a_plan_with_a_probe(study):
    known = {"model": {"encoder": "small", "patch_size": 32}, "train": {"epochs": 2, "batch_size": 4}}
    found = ats_mag.plan(study / "manifest.csv", study / "slides", **known)
    assert set(found.bad) == {"bare", "cut"}
    assert "data.default_mpp" in found.bad["bare"]
    assert found.config.model.magnifications[0] == 0.5  # the finest that all have
    assert (found.config.model.patch_size, found.config.train.epochs) == (32, 2)
    assert found.reasons["model.patch_size"] == "Given, and kept."
    assert found.estimate.train > 0
    assert found.estimate.evaluate > 0
    assert found.estimate.memory > 1e8
    assert "there are 12 patients only" in found.warnings[0]
    assert not any("label follows" in text for text in found.warnings)
    (study / "c.yaml").write_text(found.text(study))
    read = read_config(study / "c.yaml")
    assert read == read_config(study / "c.yaml").model_validate(read.model_dump())
    assert read.model == found.config.model
    assert read.data.manifest == study / "manifest.csv"
    assert yaml.safe_load(found.text(study))["data"]["slides"] == str(study / "slides")
    every = yaml.safe_load(template())
    written = yaml.safe_load(found.text(study))
    assert {key: set(values) for key, values in every.items() if isinstance(values, dict)} == {
        key: set(values) for key, values in written.items() if isinstance(values, dict)
    }
    report = validate(read)
    assert report["stops"] == []
    assert "2 slide(s) will be skipped" in report["warnings"]


def test_every_choice_stands_with_its_reason_and_numbers(study):
    done = command(study, "--set", "train.epochs=3", "--set", "data.default_mpp=20x")
    assert done.exit_code == 0, done.output
    text = (study / "c.yaml").read_text()
    assert "  # Given, and kept.\n  epochs: 3\n" in text
    assert "13 slides (.tif) of 13 patients" in text.replace("\n# ", " ")
    assert "Slides of a class: a 7, b 6" in text
    assert "planned without: cut: " in done.output
    assert "bare" not in done.output
    assert validate(read_config(study / "c.yaml"))["stops"] == []
    text = (study / "c.yaml").read_bytes()
    again = command(study)
    assert again.exit_code == 1
    assert "exists already" in str(again.exception)
    assert (study / "c.yaml").read_bytes() == text


def test_what_cannot_be_planned_is_one_message(study):
    def refused(*arguments):
        done = command(study, *arguments)
        assert done.exit_code == 1
        assert not (study / "c.yaml").exists()
        return str(done.exception)

    assert "unknown key 'model.patch'" in refused("--set", "model.patch=3")
    assert "--set takes KEY=VALUE" in refused("--set", "model.patch_size")
    assert "is an argument of the plan" in refused("--set", "data.slides=here")
    table = pd.read_csv(study / "manifest.csv")
    table[table["slide_id"].isin(["bare", "cut"])].to_csv(study / "manifest.csv", index=False)
    assert "none of the 2 slides can be read, so nothing can be planned; 'bare'" in refused()
    with pytest.raises(ConfigError, match="patch_size"):
        ats_mag.plan(study / "manifest.csv", study / "slides", **{"model.patch_size": -1})


@pytest.mark.long
@pytest.mark.skipif(not SLIDES.is_dir(), reason=f"no {SLIDES}")
def test_real_slides_of_many_vendors(tmp_path):
    rows = [
        ("cmu", "aperio/CMU-1-Small-Region.svs", "a", ""),
        ("bare", "aperio/TCGA-CR-7395-01A-01-TS1.svs", "b", "0.5"),
        ("dapi", "hamamatsu/test3-DAPI-2-(387).ndpi", "a", ""),
        ("map", "generic-tiff/gandlf_example_lm.tiff", "b", ""),
        ("broken", "broken/unreadable.svs", "b", ""),
    ]
    table = pd.DataFrame(rows, columns=["slide_id", "path", "label", "mpp"])
    table.to_csv(tmp_path / "manifest.csv", index=False)
    found = ats_mag.plan(tmp_path / "manifest.csv", SLIDES, probe=False)
    assert set(found.bad) == {"broken"}
    assert found.config.prepare.empty_mask == "whole"  # a map of labels is black
    (tmp_path / "c.yaml").write_text(found.text(tmp_path))
    assert validate(read_config(tmp_path / "c.yaml"))["stops"] == []
    tiny = pd.DataFrame(
        [("d", "dicom/boxes_0.dcm", "a"), ("s", "aperio/small.svs", "b")], columns=["slide_id", "path", "label"]
    )
    tiny.to_csv(tmp_path / "tiny.csv", index=False)
    found = ats_mag.plan(tmp_path / "tiny.csv", SLIDES, probe=False)
    (tmp_path / "d.yaml").write_text(found.text(tmp_path))
    assert validate(read_config(tmp_path / "d.yaml"))["stops"] == []
