"""Values that are none: what spreadsheets leave in a table is named with its line."""

import datetime

import pytest
from openpyxl import Workbook

from ats_mag.cohort.manifest import ManifestError, class_list, read_manifest

HEAD = "slide_id,patient_id,path,label,mpp,site\n"


@pytest.fixture
def read(tmp_path):
    def read(*rows, **options):
        """Rows of texts that stand for a slide from line 2 on; `label` where it is given, the rest is sound."""
        file = tmp_path / "m.csv"
        sound = {"slide_id": "S{}", "patient_id": "P{}", "path": "S{}.tif", "label": "a", "mpp": "", "site": "here"}
        lines = [",".join({**sound, **row}.values()).format(*[i] * 9) for i, row in enumerate(rows)]
        file.write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")
        return read_manifest(file, **options)

    return read


def labels(*values):
    return [{"label": value} for value in values]


@pytest.mark.parametrize(
    "error", ["#N/A", "#n/a", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NV", "#BEZUG!", "#NOMBRE!", "#####"]
)
@pytest.mark.parametrize("column", ["slide_id", "patient_id", "path", "label", "mpp", "site"])
def test_errors_of_spreadsheets_are_no_values(read, column, error):
    with pytest.raises(
        ManifestError, match=rf"m\.csv', line 3: the column '{column}' has '.*', with which a spreadsheet"
    ):
        read({}, {column: error}, {})


def test_a_number_sign_is_no_error(read):
    assert read({"slide_id": "#12"}, {"patient_id": "#A"}, {"label": "#1 of 2"})["slide_id"][0] == "#12"


def test_labels_that_are_left_out_may_be_errors(read):
    table = read(*labels("a", "#N/A", "b"), labels={"a": "A", "b": "B"})
    assert table.attrs["left_out"] == {"#N/A": 1}


@pytest.mark.parametrize("missing", ["NA", "nan", "None", "-", "?", "unknown", "NULL"])
@pytest.mark.parametrize("column", ["slide_id", "patient_id"])
def test_ids_that_name_none(read, column, missing):
    with pytest.raises(ManifestError, match=rf"line 3: {column} '.*' names none"):
        read({}, {column: missing}, {})


def test_slides_without_a_patient_are_not_one_patient(read):
    with pytest.raises(ManifestError, match=r"line 3: patient_id 'NA' names none \(so do lines 4, 6\)"):
        read({}, {"patient_id": "NA"}, {"patient_id": "NA"}, {}, {"patient_id": "n/a"})


def test_files_may_have_any_name_where_ids_are_of_them(tmp_path):
    (tmp_path / "m.csv").write_text("path,label\nna.svs,a\nnone.svs,b\n")
    assert read_manifest(tmp_path / "m.csv")["slide_id"].tolist() == ["na", "none"]


@pytest.mark.parametrize(
    "date", ["2024-02-01", "2024-02-01 00:00:00", "01-Feb", "1. Mär", "Mar-01", "1/2/2024", "2-Sep-24"]
)
def test_dates_among_labels(read, date):
    with pytest.raises(
        ManifestError, match=r"m\.csv', line 3: the label '.*' is a date, as a spreadsheet makes of text"
    ):
        read(*labels("3-4", date, "3-4"))
    notes = read(*labels(date, date)).attrs["notes"]
    assert any("line 2" in note and "so are all others" in note for note in notes)
    assert read(*labels("3-4", date), labels={"3-4": "high", date: "low"}).attrs["notes"] == []


@pytest.mark.parametrize("label", ["1-2", "3+4", "sept", "march", "may", "G2", "1.5", "2024"])
def test_labels_that_only_resemble_dates(read, label):
    assert read(*labels(label, "other")).attrs["notes"] == []


def test_cells_that_excel_made_dates_of(tmp_path):
    book = Workbook()
    for row in (["slide", "case", "label"], ["S1", "P1", "3-4"], ["S2", "P2", datetime.datetime(2024, 2, 1)]):
        book.active.append(row)
    book.save(tmp_path / "m.xlsx")
    with pytest.raises(ManifestError, match=r"line 3: the label '2024-02-01' is a date"):
        read_manifest(tmp_path / "m.xlsx")


def test_formulas_without_a_stored_value(tmp_path):
    book = Workbook()
    for row in (["slide", "case", "label"], ["S1", "P1", '="a"']):
        book.active.append(row)
    book.save(tmp_path / "m.xlsx")
    with pytest.raises(ManifestError, match=r"line 2: the column 'label' is empty.*a formula has a value only after"):
        read_manifest(tmp_path / "m.xlsx")


def test_ids_that_are_dates_among_others_are_noted(read):
    (note,) = read({}, {"patient_id": "2024-02-01"}).attrs["notes"]
    assert note.startswith("line 3: the patient_id '2024-02-01' is a date")
    assert read({"patient_id": "2024-02-01"}, {"patient_id": "2024-02-02"}).attrs["notes"] == []


def test_near_equal_labels_and_patients_are_noted_with_their_lines(read):
    table = read({"label": "Tumour"}, {"label": "tumour"}, {"patient_id": "p0"}, {"label": "b"})
    assert table.attrs["notes"] == [
        "the labels 'Tumour' (line 2) and 'tumour' (line 3) differ only in how they are written, and count as different ones: "
        "write them alike, or map them to one class in `data.labels`",
        "the patients 'P0' (line 2) and 'p0' (line 4) differ only in how they are written, and count as different ones: "
        "write them alike, or one patient may stand on both sides of a split",
    ]
    mapped = read(*labels("Tumour", "tumour", "b"), labels={"Tumour": "t", "tumour": "t", "b": "b"})
    assert class_list(mapped, labels={"Tumour": "t", "tumour": "t", "b": "b"}) == ["t", "b"]
    assert mapped.attrs["notes"] == []


def test_near_equal_labels_in_sets_and_what_is_not_seen(read):
    (note,) = read(*labels("a;b", "b\u200b;c", "b")).attrs["notes"]
    assert note.startswith("the labels 'b' (line 2) and 'b\\u200b' (line 3) differ")
    (note,) = read(*labels("m\u00e9", "me\u0301")).attrs["notes"]
    assert "'m\u00e9' (line 2)" in note
    assert "'me\\u0301' (line 3)" in note


def test_many_groups_are_counted(read):
    rows = [{"patient_id": f"{letter}{i}"} for i in range(8) for letter in "pP"]
    notes = read(*rows).attrs["notes"]
    assert len(notes) == 6
    assert notes[-1] == "so do 3 more groups of patients"


def test_slides_that_are_only_predicted_need_no_patient(tmp_path):
    (tmp_path / "m.csv").write_text("path,case,label\na.svs,NA,#N/A\n")
    assert read_manifest(tmp_path / "m.csv", labelled=False)["path"].tolist() == ["a.svs"]


@pytest.mark.parametrize(
    ("text", "mpp"), [(".5", 0.5), ("0.5 um", 0.5), ("0,5 µm", 0.5), ("0.25 um / px", 0.25), ("40 X", 0.25)]
)
def test_resolutions_as_people_write_them(tmp_path, text, mpp):
    (tmp_path / "m.csv").write_text(f'slide,case,label,mpp\na,p,x,"{text}"\n', encoding="utf-8")
    assert read_manifest(tmp_path / "m.csv")["mpp"].tolist() == [mpp]
