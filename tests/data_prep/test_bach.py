"""BACH: the official layout, its table of patients in the forms it may have, and what is missing."""

import pandas as pd
import pytest
import tifffile

from ats_mag.cohort.manifest import read_manifest
from ats_mag.config.reading import read_config
from ats_mag.slides.properties import slide_info

CLASSES = {"Normal": "n", "Benign": "b", "InSitu": "is", "Invasive": "iv"}


@pytest.fixture
def folder(tmp_path, picture):
    """The unpacked challenge with two small fields a class."""
    photos = tmp_path / "ICIAR2018_BACH_Challenge" / "Photos"
    truth = []
    for i, (label, prefix) in enumerate(CLASSES.items()):
        (photos / label).mkdir(parents=True)
        for number in (1, 2):
            name = f"{prefix}{number:03d}.tif"
            tifffile.imwrite(photos / label / name, picture(10 * i + number), photometric="rgb")
            truth.append(f"{name},{label}")
        (photos / label / "Thumbs.db").write_bytes(b"")
    (photos / "microscopy_ground_truth.csv").write_text("\n".join(truth) + "\n")
    return photos.parent


@pytest.mark.parametrize("below", ["", "Photos", ".."])
def test_without_patients_the_program_says_so_loudly(script, folder, tmp_path, below):
    said = script("bach", folder / below, tmp_path / "out", "--workers", 1)
    assert "EVERY FIELD COUNTS AS A PATIENT OF ITS OWN" in said
    assert "left aside" in said
    assert "8 fields are not of 2048 x 1536 pixels" in said
    manifest = read_manifest(tmp_path / "out" / "manifest.csv").set_index("slide_id")
    assert manifest["label"].to_dict() == {f"{p}00{i}": label for label, p in CLASSES.items() for i in (1, 2)}
    assert manifest["patient_id"].to_list() == list(manifest.index)
    config = read_config(tmp_path / "out" / "config.yaml")
    assert list(config.data.labels or {}) == list(CLASSES)
    assert config.prepare.overview_mpp == pytest.approx(3.36)
    assert slide_info(config.data.slides / manifest["path"]["iv002"]).mpp == pytest.approx(0.42)


ROWS = [("n001.tif", "7"), ("b001.tif", "7"), ("Benign/b002.tif", "8"), ("is001", "8"), ("iv001.tif", "")]


@pytest.mark.parametrize("form", ["csv", "semicolons", "no heads", "workbook"])
def test_patients_of_a_table(script, folder, tmp_path, form):
    table = pd.DataFrame(ROWS, columns=["Image", "Patient ID"])
    if form == "workbook":
        file = tmp_path / "patients.xlsx"
        with pd.ExcelWriter(file) as book:
            pd.DataFrame({"note": ["none"]}).to_excel(book, sheet_name="about", index=False)
            table.assign(Class="?").to_excel(book, sheet_name="list", index=False)
    else:
        file = tmp_path / "patients.csv"
        table.to_csv(file, index=False, sep=";" if form == "semicolons" else ",", header=form != "no heads")
    said = script("bach", folder, tmp_path / "out", "--patients", file, "--workers", 1)
    assert "4 of 8 fields are not in" in said
    patients = read_manifest(tmp_path / "out" / "manifest.csv").set_index("slide_id")["patient_id"]
    assert patients["n001"] == patients["b001"] == "patient-7"
    assert patients["b002"] == patients["is001"] == "patient-8"
    assert patients["iv001"] == "iv001"
    assert patients.nunique() == 6


def test_what_is_wrong_is_named(script, folder, tmp_path):
    def refused(*arguments):
        said = script("bach", *arguments, status=1)
        assert not (tmp_path / "out" / "manifest.csv").exists()
        return said

    assert "holds no photographs" in refused(tmp_path / "absent", tmp_path / "out")
    file = tmp_path / "patients.csv"
    assert "patients.csv' does not exist" in refused(folder, tmp_path / "out", "--patients", file)
    file.write_text("image,patient\nb001.tif,1\nb001.tif,2\n")
    assert "gives 'b001' two patients, '1' and '2'" in refused(folder, tmp_path / "out", "--patients", file)
    file.write_text("image,patient\nx.tif,1\n")
    assert "names the patient of no field" in refused(folder, tmp_path / "out", "--patients", file)
    file.write_text("a,b,c\nb001.tif,1,2\n")
    assert "--patient-column" in refused(folder, tmp_path / "out", "--patients", file)
    truth = folder / "Photos" / "microscopy_ground_truth.csv"
    truth.write_text(truth.read_text().replace("b001.tif,Benign", "b001.tif,Invasive"))
    assert "calls 'b001.tif' Invasive" in refused(folder, tmp_path / "out")
    truth.unlink()
    for field in (folder / "Photos" / "InSitu").glob("*.tif"):
        field.unlink()
    assert "InSitu' holds no TIFF files" in refused(folder, tmp_path / "out")
