"""TCGA-PRAD: manifest and clinical tables in their published forms, choice of slides, and files that are not whole."""

import hashlib

import pandas as pd
import pytest

from ats_mag.cohort.manifest import read_manifest
from ats_mag.config.reading import read_config
from data_prep.tcga_prad.cohort import parse_classes
from data_prep.tcga_prad.grades import grade_group, read_grades

SLIDES = [  # name without its last part, and whether it is there
    "TCGA-2A-A8VL-01Z-00-DX1",
    "TCGA-2A-A8VL-01Z-00-DX2",
    "TCGA-2A-A8VL-01A-01-TS1",
    "TCGA-CH-5737-01Z-00-DX1",
    "TCGA-CH-5737-11A-01-TS1",
    "TCGA-EJ-5495-01Z-00-DX1",
    "TCGA-EJ-5496-01Z-00-DX1",
    "TCGA-EJ-5497-01Z-00-DX1",
]
# As the portal writes it: several rows a case, later diagnoses, and a sign of its own for what is missing.
CLINICAL = """case_id\tcase_submitter_id\tdiagnosis_is_primary_disease\tprimary_gleason_grade\tsecondary_gleason_grade
u1\tTCGA-2A-A8VL\ttrue\tPattern 3\tPattern 3
u1\tTCGA-2A-A8VL\ttrue\tPattern 3\tPattern 3
u1\tTCGA-2A-A8VL\tfalse\tPattern 5\tPattern 5
u2\tTCGA-CH-5737\t'--\tPattern 4\tPattern 3
u3\tTCGA-EJ-5495\t'--\tPattern 4\tPattern 5
u4\tTCGA-EJ-5496\t'--\t'--\t'--
"""


@pytest.fixture
def download(tmp_path):
    """A manifest, and the files as gdc-client lays them down."""
    rows = []
    for i, name in enumerate(SLIDES):
        filename, content = f"{name}.AB{i:02d}.svs", f"slide {i}".encode() * (i + 1)
        folder = tmp_path / "slides" / f"uuid-{i}"
        folder.mkdir(parents=True)
        (folder / filename).write_bytes(content)
        rows.append([f"uuid-{i}", filename, hashlib.md5(content).hexdigest(), len(content), "released"])
    rows.append(["uuid-x", "annotations.txt", "", 1, "released"])
    pd.DataFrame(rows, columns=["id", "filename", "md5", "size", "state"]).to_csv(
        tmp_path / "gdc.txt", sep="\t", index=False
    )
    (tmp_path / "clinical.tsv").write_text(CLINICAL)
    return tmp_path


def _run(script, folder, *options, status=0):
    fixed = (folder / "gdc.txt", folder / "clinical.tsv", "--slides", folder / "slides", "--out", folder / "out")
    return script("tcga_prad", *fixed, *options, status=status)


def test_manifest_and_configuration(script, download):
    said = _run(script, download, "--md5")
    assert "no Gleason grade is known of 2 patients: TCGA-EJ-5496, TCGA-EJ-5497" in said
    assert "4 slides of 3 patients: 2 low, 2 high" in said
    assert "1 not named as TCGA slides are, 2 frozen, top sections (TS), 2 of patients without a Gleason grade" in said
    manifest = read_manifest(download / "out" / "manifest.csv")
    assert manifest["patient_id"].to_list() == ["TCGA-2A-A8VL", "TCGA-2A-A8VL", "TCGA-CH-5737", "TCGA-EJ-5495"]
    assert manifest["label"].to_list() == ["1", "1", "3", "5"]
    assert manifest["site"].to_list() == ["2A", "2A", "CH", "EJ"]
    assert manifest["gleason"].to_list() == ["3+3", "3+3", "4+3", "4+5"]
    config = read_config(download / "out" / "config.yaml")
    assert config.data.labels == {"1": "low", "2": "low", "3": "high", "4": "high", "5": "high"}
    assert all((config.data.slides / path).is_file() for path in manifest["path"])


def test_choice_of_slides_and_classes(script, download):
    _run(script, download, "--choice", "first", "--classes", "6=1,7=2-3,8 and more=4-5", "--by-site")
    manifest = read_manifest(download / "out" / "manifest.csv")
    assert manifest["slide_id"].to_list() == [f"{SLIDES[i]}.AB{i:02d}" for i in (0, 3, 5)]
    config = read_config(download / "out" / "config.yaml")
    assert config.splits.by_site
    assert (config.data.labels or {})["4"] == "8 and more"


def test_frozen_slides_of_normal_tissue_are_left_out(script, download):
    said = _run(script, download, "--kind", "TS")
    assert "1 of normal tissue" in said
    assert read_manifest(download / "out" / "manifest.csv")["slide_id"].to_list() == [f"{SLIDES[2]}.AB02"]


def test_files_that_are_not_whole_are_named(script, download):
    slides = download / "slides"
    first, second, third = (slides / f"uuid-{i}" / f"{SLIDES[i]}.AB{i:02d}.svs" for i in (0, 3, 5))
    first.rename(first.with_name(first.name + ".partial"))
    second.write_bytes(b"short")
    third.write_bytes(third.read_bytes()[::-1])
    said = _run(script, download, status=1)
    assert f"{first.name}' its download is incomplete" in said
    assert f"{second.name}' has 5 bytes instead of 28" in said
    assert third.name not in said
    assert not (download / "out").exists()
    said = _run(script, download, "--md5", "--missing", "skip")
    assert f"{third.name}' has the MD5" in said
    assert "3 missing or not whole" in said
    assert read_manifest(download / "out" / "manifest.csv")["slide_id"].to_list() == [f"{SLIDES[1]}.AB01"]
    second.unlink()
    assert f"{second.name}' is missing" in _run(script, download, status=1)


def test_files_may_lie_in_one_folder(script, download):
    for file in (download / "slides").glob("*/*"):
        file.rename(download / "slides" / file.name)
    _run(script, download)
    assert "/" not in read_manifest(download / "out" / "manifest.csv")["path"].sum()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("clinical.tsv", "cases.submitter_id\tdiagnoses.gleason_grade_group\nTCGA-CH-5737\tGroup 3\n"),
        (
            "biotab.txt",
            "bcr_patient_uuid\tbcr_patient_barcode\tgleason_pattern_primary\tgleason_pattern_secondary\n"
            "bcr_patient_uuid\tbcr_patient_barcode\tprimary\tsecondary\nCDE_ID:\tCDE_ID:2003301\tCDE_ID:1\tCDE_ID:2\n"
            "u\tTCGA-CH-5737\t4\t3\n",
        ),
        (
            "data_clinical_patient.txt",
            "#Patient Identifier\tPattern\tPattern\tScore\n#STRING\tNUMBER\tNUMBER\tNUMBER\n"
            "PATIENT_ID\tGLEASON_PATTERN_PRIMARY\tGLEASON_PATTERN_SECONDARY\tGLEASON_SCORE\n"
            "TCGA-CH-5737\t4\t3\t7\nTCGA-EJ-5495\t[Not Available]\t[Not Available]\t7\n",
        ),
        ("clinical.csv", "Patient ID,Gleason Pattern Primary,Gleason Pattern Secondary\nTCGA-CH-5737,4.0,3.0\n"),
    ],
)
def test_forms_of_clinical_tables(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    grades, odd = read_grades(tmp_path / name)
    assert {patient: group for patient, (group, _) in grades.items()} == {"TCGA-CH-5737": 3}
    assert not odd


def test_a_score_alone_and_contradictions(tmp_path):
    file = tmp_path / "clinical.tsv"
    file.write_text(
        "PATIENT_ID\tGLEASON_SCORE\nTCGA-AA-0006\t6\nTCGA-AA-0007\t7\nTCGA-AA-0008\t8\nTCGA-AA-0009\t9\n"
        "TCGA-AA-0010\t6\nTCGA-AA-0010\t8\n"
    )
    grades, odd = read_grades(file)
    assert {patient[-1]: group for patient, (group, _) in grades.items()} == {"6": 1, "8": 4, "9": 5}
    assert odd == ["TCGA-AA-0010 has several grades (score 6, score 8) and is left out"]


def test_grade_groups():
    wanted = {(3, 3): 1, (2, 3): 1, (3, 4): 2, (4, 3): 3, (4, 4): 4, (3, 5): 4, (5, 3): 4, (4, 5): 5, (5, 5): 5}
    assert {patterns: grade_group(*patterns) for patterns in wanted} == wanted


@pytest.mark.parametrize("text", ["low", "low=1-6,high=2", "low=1-2,high=2-5", "all=1-5", "=1,b=2"])
def test_bad_classes(text):
    with pytest.raises(ValueError, match=r"--classes.*Received"):
        parse_classes(text)


def test_what_is_wrong_is_named(script, download):
    assert "Received: 'XX'" in _run(script, download, "--kind", "XX", status=1)
    assert "no slide is left" in _run(script, download, "--kind", "BS", status=1)
    (download / "clinical.tsv").write_text("a\tb\n1\t2\n")
    assert "lacks a column of patients or of Gleason grades; it has a, b" in _run(script, download, status=1)
    (download / "gdc.txt").write_text("id\tname\n")
    assert "lacks the column(s) filename, md5, size" in _run(script, download, status=1)
    (download / "gdc.txt").unlink()
    assert "gdc.txt' does not exist" in _run(script, download, status=1)
