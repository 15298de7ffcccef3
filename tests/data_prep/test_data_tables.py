"""Tables of the data sets as they come: of any separator, and with the file's name in what is said of bad ones."""

import pandas as pd
import pytest

from data_prep import glas
from data_prep.bach.cohort import check_truth
from data_prep.bach.patients import read_patients as read_table_of_patients
from data_prep.tcga_prad.downloads import read_gdc_manifest


def read_grades(folder):
    return glas.read_fields(folder, ["testA"])


def read_patients(folder):
    return read_table_of_patients(folder / "patients.xlsx", {"n001"})


def read_truth(folder):
    return check_truth(folder / "truth.csv", {"b001.tif": "Benign"})


def read_downloads(folder):
    return read_gdc_manifest(folder / "gdc.txt")


@pytest.mark.parametrize(
    ("name", "content", "read", "message"),
    [
        ("Grade.csv", b"", read_grades, "Grade.csv' is empty"),
        (
            "Grade.csv",
            "name,patient ID\ntrain_1,M\u00fcller\n".encode("latin-1"),
            read_grades,
            "Grade.csv' is not UTF-8",
        ),
        ("gdc.txt", b"", read_downloads, "gdc.txt' is empty"),
        ("gdc.txt", b"id\tname\n", read_downloads, r"lacks the column\(s\) filename, md5, size"),
        ("patients.xlsx", b"PK\3\4 cut off", read_patients, "patients.xlsx' is no readable"),
        ("truth.csv", b"b001.tif;Invasive\n", read_truth, "calls 'b001.tif' Invasive"),
    ],
)
def test_bad_tables_are_named(tmp_path, name, content, read, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read(tmp_path)


def test_any_separator_will_do(tmp_path):
    (tmp_path / "train_1.bmp").touch()
    (tmp_path / "Grade.csv").write_text("name;patient ID; grade (GlaS)\ntrain_1;1; benign\n")
    fields, known = read_grades(tmp_path)
    assert (fields["label"].tolist(), known) == (["benign"], True)
    (tmp_path / "gdc.txt").write_text("id\tfilename\tmd5\tsize\n")
    empty = read_downloads(tmp_path)
    assert isinstance(empty, pd.DataFrame)
    assert empty.empty
