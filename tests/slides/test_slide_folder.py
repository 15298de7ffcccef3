"""Slides are found by the names that tables of other machines and spreadsheets give them, and by no others."""

import pytest

from ats_mag.cohort.manifest import ManifestError, read_manifest
from ats_mag.slides.slide_folder import SlideFolder

FILES = (
    "batch1/S1.tif",
    "batch2/S9.tif",
    "S2.TIF",
    "S3.ome.tif",
    "007.tif",
    "batch1/é x.svs",
    "batch1/twin.svs",
    "batch2/Twin.svs",
)


@pytest.fixture
def folder(tmp_path):
    for name in FILES:
        (tmp_path / "slides" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "slides" / name).touch()
    return SlideFolder(tmp_path / "slides")


@pytest.mark.parametrize(
    ("entry", "file"),
    [
        ("/mnt/nas/project/batch1/S1.tif", "batch1/S1.tif"),
        ("project/batch1/S1.tif", "batch1/S1.tif"),
        ("C:\\data\\batch1\\S1.tif", "batch1/S1.tif"),
        ("\\\\server\\share\\batch1\\S1.tif", "batch1/S1.tif"),
        ("/data/S2.tif", "S2.TIF"),
        ("S2.tif", "S2.TIF"),
        ("s2", "S2.TIF"),
        ("BATCH1/s1.TIF", "batch1/S1.tif"),
        ("S3", "S3.ome.tif"),
        ("S3.tif", "S3.ome.tif"),
        ("file:///data/batch1/S1.tif", "batch1/S1.tif"),
        ("file:///data/batch1/%C3%A9%20x.svs", "batch1/é x.svs"),
        ("/data/batch1/S1.h5", "batch1/S1.tif"),
        ("S1.png", "batch1/S1.tif"),
        ("batch1/S1.JPG", "batch1/S1.tif"),
        ("7", "007.tif"),
        ("7.0", "007.tif"),
        ("7.tif", "007.tif"),
    ],
)
def test_names_of_other_machines(folder, entry, file):
    assert folder.named(entry) == []
    assert folder.taken_for(entry) == folder.find(entry) == [file]


@pytest.mark.parametrize("entry", ["batch2/S1.tif", "/mnt/batch2/S1.tif", "S1.svs", "S", "S11", "70", "0", "/"])
def test_another_folder_or_file_is_another_slide(folder, entry):
    assert folder.find(entry) == []


def test_what_is_named_goes_before_what_resembles_it(folder):
    (folder.root / "7.tif").touch()
    again = SlideFolder(folder.root)
    assert again.find("7.tif") == again.find("7") == ["7.tif"]
    assert sorted(again.taken_for("TWIN.svs")) == ["batch1/twin.svs", "batch2/Twin.svs"]


def test_a_manifest_says_which_paths_it_took_for_others(folder, tmp_path):
    table = tmp_path / "m.csv"
    table.write_text(
        "slide_id,case,path,label\n1,p,/nas/batch1/S1.tif,x\n2,q,7,y\n3,r,/nas/elsewhere/S9.tif,y\n4,s,S3.ome.tif,x\n"
    )
    found = read_manifest(table, slides=folder.root)
    assert found["path"].tolist() == ["batch1/S1.tif", "007.tif", "/nas/elsewhere/S9.tif", "S3.ome.tif"]
    assert found.attrs["notes"] == [
        "2 path(s) are taken for files of a slightly other name: '/nas/batch1/S1.tif' (line 2) for 'batch1/S1.tif', '7' (line 3) "
        "for '007.tif'",
        "1 path(s) are not there, but a file of that name in another folder: '/nas/elsewhere/S9.tif' (line 4), is it "
        "'batch2/S9.tif'?",
    ]
    table.write_text("slide_id,case,path,label\n1,p,TWIN.svs,x\n")
    with pytest.raises(ManifestError, match=r"line 2: 'TWIN.svs' may be 'batch1/twin.svs', 'batch2/Twin.svs'"):
        read_manifest(table, slides=folder.root)


def test_two_lines_for_one_file_are_still_refused(folder, tmp_path):
    table = tmp_path / "m.csv"
    table.write_text("slide_id,case,path,label\n1,p,batch1/S1.tif,x\n2,q,/nas/batch1/s1.tif,y\n")
    with pytest.raises(ManifestError, match="lines 2 and 3 name the same slide"):
        read_manifest(table, slides=folder.root)
