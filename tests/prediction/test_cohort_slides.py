"""Which slides files, folders and manifests name."""

import errno
import os
import shutil

import pandas as pd
import pytest
from stub_predictor import write_slides

from ats_mag.cohort.manifest import ManifestError
from ats_mag.prediction import CohortSlide, find_slides

DICOM = os.path.join(os.environ.get("ATS_MAG_DATA", "../shared/data"), "slides", "dicom")


def test_files_folders_and_manifests_each_slide_once_in_order(tmp_path):
    one, two, three = write_slides(tmp_path / "a", 3)
    (tmp_path / "a" / "deeper").mkdir()
    four = shutil.copy(one, tmp_path / "a" / "deeper" / "four.svs")
    (tmp_path / "a" / "notes.md").write_text("no slide")
    table = pd.DataFrame({"slide_id": ["x", "gone"], "path": [four, "gone.tif"], "mpp": ["0.25", ""]})
    table.to_csv(tmp_path / "m.csv", index=False)
    found = find_slides([two, tmp_path / "a", tmp_path / "m.csv"], mpp=0.25)
    assert found == [
        CohortSlide(str(two), "s001", 0.25),
        CohortSlide(str(four), "four", 0.25),
        CohortSlide(str(one), "s000", 0.25),
        CohortSlide(str(three), "s002", 0.25),
        CohortSlide(str(tmp_path / "gone.tif"), "gone", 0.25),
    ]


def test_a_manifest_needs_no_labels_and_may_be_a_spreadsheet(tmp_path):
    write_slides(tmp_path / "slides" / "deep", 2)
    table = pd.DataFrame({"FILENAME": ["s000", "s001.tif"], "mpp": ["20x", None], "label": ["", "b"]})
    table.to_excel(tmp_path / "m.xlsx", index=False)
    root = tmp_path / "slides"
    assert find_slides([tmp_path / "m.xlsx"], root) == [
        CohortSlide(str(root / "deep" / "s000.tif"), "s000", 0.5),
        CohortSlide(str(root / "deep" / "s001.tif"), "s001", None),
    ]
    table.drop(columns="label").to_csv(tmp_path / "slides" / "m.csv", index=False)
    assert [slide.slide_id for slide in find_slides([root / "m.csv"])] == ["s000", "s001"]


def test_what_is_wrong_is_named(tmp_path):
    (slide,) = write_slides(tmp_path / "a", 1)
    (tmp_path / "empty").mkdir()
    (tmp_path / "m.csv").write_text(f"path,mpp\n{slide},0.5\n")
    (tmp_path / "bad.csv").write_text("stain,mpp\nhe,0.5\n")
    with pytest.raises(FileNotFoundError, match=r"none\.svs"):
        find_slides([slide, tmp_path / "none.svs"])
    with pytest.raises(ValueError, match="no slide in the folder"):
        find_slides([tmp_path / "empty"])
    with pytest.raises(ValueError, match=r"named twice, with the file's own resolution and with 0\.5 um/px"):
        find_slides([slide, tmp_path / "m.csv"])
    with pytest.raises(ManifestError, match="path"):
        find_slides([tmp_path / "bad.csv"])
    with pytest.raises(NotADirectoryError, match="nowhere"):
        find_slides([tmp_path / "m.csv"], tmp_path / "nowhere")


@pytest.mark.skipif(not os.path.isdir(DICOM), reason=f"no {DICOM}")
def test_the_files_of_a_dicom_slide_are_one_slide(tmp_path):
    shutil.copytree(DICOM, tmp_path / "one")
    shutil.copytree(DICOM, tmp_path / "two")
    (tmp_path / "two" / "torn.dcm").write_bytes(b"torn")
    assert [os.path.relpath(slide.path, tmp_path) for slide in find_slides([tmp_path])] == [
        "one/boxes_0.dcm",
        "two/boxes_0.dcm",
        "two/torn.dcm",
    ]


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path, monkeypatch):
    write_slides(tmp_path / "slides", 1)
    write_slides(tmp_path / "slides" / "batch2", 1)
    write_slides(tmp_path / "slides" / ".hidden", 1)
    usual = os.scandir
    locked = []

    def scandir(path):  # as the superuser, whom no right keeps out, sees it, too
        if os.path.basename(path) in locked:
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return usual(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert len(find_slides([tmp_path / "slides"])) == 2
    locked.append(".hidden")  # which is not looked into anyway
    assert len(find_slides([tmp_path / "slides"])) == 2
    locked.append("batch2")
    with pytest.raises(PermissionError, match=r"batch2' cannot be listed \(Permission denied\).*give the right"):
        find_slides([tmp_path / "slides"])


def test_paths_of_another_machine_are_found_and_told(tmp_path):
    (tmp_path / "S1.tif").write_bytes(b"")
    (tmp_path / "m.csv").write_text("path\nD:\\scans\\s1.TIF\n")
    with pytest.warns(
        UserWarning, match=r"m\.csv': 1 path\(s\) are taken for files of a slightly other name: .* for 'S1\.tif'"
    ):
        (found,) = find_slides([tmp_path / "m.csv"])
    assert (found.path, found.slide_id) == (str(tmp_path / "S1.tif"), "s1")
