"""GlaS: both layouts of the data set, its shared patients, and what is missing."""

import pandas as pd
import pytest
from PIL import Image

from ats_mag.cohort.manifest import read_manifest
from ats_mag.config.reading import read_config
from ats_mag.slides.properties import slide_info

GRADES = """name,patient ID, grade (GlaS), grade (Sirinukunwattana et al. 2015)
train_1,1, benign, healthy
train_2,2, malignant, moderately differentiated
testA_1,1, benign, adenomatous
testA_2,3, malignant, poorly differentiated
testB_1,3, malignant, poorly differentiated
"""


@pytest.fixture
def official(tmp_path, picture):
    """The challenge's folder, in miniature."""
    folder = tmp_path / "Warwick QU Dataset"
    folder.mkdir()
    (folder / "Grade.csv").write_text(GRADES)
    for i, name in enumerate(("train_1", "train_2", "testA_1", "testA_2", "testB_1")):
        Image.fromarray(picture(i)).save(folder / f"{name}.bmp")
        Image.fromarray(picture(i)[..., 0]).save(folder / f"{name}_anno.bmp")
    return folder


def test_official_split(script, official, tmp_path):
    said = script("glas", official, tmp_path / "out", "--workers", 1)
    assert "1 patients in training and test (patient-1)" in said
    assert "4 images: 4 written, 0 kept, 0 failed" in said
    manifest = read_manifest(tmp_path / "out" / "manifest.csv").set_index("slide_id")
    assert manifest["split"].to_dict() == {"train_1": "train", "train_2": "train", "testA_1": "test", "testA_2": "test"}
    assert manifest["label"].to_list() == ["benign", "malignant", "benign", "malignant"]
    assert manifest["patient_id"].to_list() == list(manifest.index)
    assert manifest["section"].to_list() == ["patient-1", "patient-2", "patient-1", "patient-3"]
    assert manifest["grade"]["testA_1"] == "adenomatous"
    config = read_config(tmp_path / "out" / "config.yaml")
    assert (config.splits.kind, config.data.manifest) == ("manifest", tmp_path / "out" / "manifest.csv")
    info = slide_info(config.data.slides / manifest["path"]["train_1"])
    assert (info.dimensions, info.mpp) == ((256, 192), pytest.approx(0.62005))


def test_split_by_patients(script, official, tmp_path):
    script(
        "glas", official, tmp_path / "out", "--split", "patients", "--test", "testA", "--test", "testB", "--workers", 1
    )
    manifest = pd.read_csv(tmp_path / "out" / "manifest.csv")
    assert manifest["patient_id"].to_list() == ["patient-1", "patient-2", "patient-1", "patient-3", "patient-3"]
    assert "split" not in manifest
    assert read_config(tmp_path / "out" / "config.yaml").splits.kind == "kfold"


def test_labels_table_knows_no_patients(script, tmp_path, picture):
    (tmp_path / "images").mkdir()
    (tmp_path / "labels.csv").write_text("name,split,malignant\ntrain_1,train,0\ntrain_2,train,1\ntestA_1,testA,1\n")
    for i, name in enumerate(("train_1", "train_2", "testA_1")):
        Image.fromarray(picture(i)).save(tmp_path / "images" / f"{name}.jpg")
    assert "does not say which field is of which patient" in script("glas", tmp_path, tmp_path / "out", "--workers", 1)
    manifest = read_manifest(tmp_path / "out" / "manifest.csv")
    assert manifest[["patient_id", "label", "split"]].to_numpy().tolist() == [
        ["train_1", "benign", "train"],
        ["train_2", "malignant", "train"],
        ["testA_1", "malignant", "test"],
    ]
    said = script("glas", tmp_path, tmp_path / "other", "--split", "patients", status=1)
    assert "Grade.csv', which is not there" in said
    assert not (tmp_path / "other").exists()


def test_an_interrupted_run_goes_on_and_an_edited_configuration_stays(script, official, tmp_path):
    out = tmp_path / "out"
    script("glas", official, out, "--workers", 1)
    kept = (out / "slides" / "train_1.tiff").stat().st_mtime_ns
    (out / "slides" / "train_2.tiff").unlink()
    (out / "manifest.csv").unlink()
    (out / "config.yaml").write_text("run: mine\n")
    said = script("glas", official, out)
    assert "4 images: 1 written, 3 kept, 0 failed" in said
    assert "kept" in said.splitlines()[-2]
    assert (out / "slides" / "train_1.tiff").stat().st_mtime_ns == kept
    assert (out / "config.yaml").read_text() == "run: mine\n"
    assert (out / "manifest.csv").exists()
    assert not list(out.rglob(".*"))


def test_what_is_wrong_is_named(script, official, tmp_path):
    assert "holds neither 'Grade.csv' nor 'labels.csv'" in script("glas", tmp_path, tmp_path / "out", status=1)
    assert "Received: 'testC'" in script("glas", official, tmp_path / "out", "--test", "testC", status=1)
    (official / "train_2.bmp").write_bytes(b"BM, but no more")
    said = script("glas", official, tmp_path / "out", "--workers", 1, status=1)
    assert "train_2.bmp' cannot be read" in said
    assert "no manifest was written" in said
    assert not (tmp_path / "out" / "manifest.csv").exists()
    (official / "train_2.bmp").unlink()
    assert "1 of 4 fields" in script("glas", official, tmp_path / "out", status=1)
    (official / "Grade.csv").write_text(GRADES.replace(" malignant", " unclear"))
    assert "'train_2' is neither benign nor malignant" in script("glas", official, tmp_path / "out", status=1)
    (official / "Grade.csv").write_text(GRADES.replace("patient ID", "patient"))
    assert "lacks the column(s) patient ID" in script("glas", official, tmp_path / "out", status=1)
