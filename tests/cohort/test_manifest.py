import zipfile

import numpy as np
import pandas as pd
import pytest
from openpyxl import Workbook

from ats_mag.cohort.manifest import ManifestError, class_list, compare_folder, load_manifest, read_manifest


@pytest.fixture
def write(tmp_path):
    def write(text, name="m.csv", encoding="utf-8"):
        file = tmp_path / name
        file.write_text(text, encoding=encoding)
        return file

    return write


@pytest.fixture
def slides(tmp_path):
    """A folder in which only names matter."""
    folder = tmp_path / "slides"
    for name in ("a.svs", "sub/b.ndpi", "sub/c.1.tif", "x/d.svs", "y/d.svs", "notes.txt", ".hidden.svs", "._a.svs"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def columns_of(table):
    return table[["slide_id", "patient_id", "path", "label"]].to_numpy().tolist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("case_id,slide_id,label\np,s,x\n", ["s", "p", "s", "x"]),  # CLAM
        ("PATIENT,FILENAME,isMSIH,Category\np,sub/s.svs,1,x\n", ["s", "p", "sub/s.svs", "x"]),  # STAMP
        ("PATIENT,SLIDE,FILENAME,label\np,s,s.h5,x\n", ["s", "p", "s.h5", "x"]),
        ("patient,slide,site,category\np,s,here,x\n", ["s", "p", "s", "x"]),  # slideflow
        ("wsi,mpp,Case ID,Class\ns.svs,0.25,p,x\n", ["s", "p", "s.svs", "x"]),  # TRIDENT
        ("Slide-Path;Patient;Label\n/data/s.svs;p;x\n", ["s", "p", "/data/s.svs", "x"]),
        ('label\tslide\n"a\tb"\tfolder/s.svs\n', ["s", "s", "folder/s.svs", "a\tb"]),
        ("path,label,patient,case\ns.tif,x,p,p\n", ["s", "p", "s.tif", "x"]),  # two of one content
    ],
)
def test_tables_of_other_tools(write, text, expected):
    assert columns_of(read_manifest(write(text))) == [expected]


def test_numbers_stay_as_they_were_written(write, tmp_path):
    table = read_manifest(write("slide_id,patient_id,label,mpp\n001,007,1,\n002,1e3,01,20x\n"))
    assert columns_of(table) == [["001", "007", "001", "1"], ["002", "1e3", "002", "01"]]
    np.testing.assert_array_equal(table["mpp"], [np.nan, 0.5])
    book = Workbook()
    sheet = book.active
    sheet.append(["slide", "Patient ID", "Label", "MPP"])
    sheet.append(["001", 7, 1, 0.25])
    sheet.append([None, None, None, None])
    sheet.append(["2", 8, 1.5, None])
    sheet["B2"].number_format = "0000"
    book.save(tmp_path / "m.xlsx")
    table = read_manifest(tmp_path / "m.xlsx")
    assert columns_of(table) == [["001", "0007", "001", "1"], ["2", "8", "2", "1.5"]]
    np.testing.assert_array_equal(table["mpp"], [0.25, np.nan])


def test_what_spreadsheets_export(write):
    """A byte-order mark, semicolons, decimal commas, rows that are empty, values in quotes with line ends."""
    text = '﻿Slide;Patient;Label;mpp;comment\r\ns1;p1;x;0,25;"two\nlines"\r\n;;;;\r\n\r\ns2;p2;;;\r\n'
    with pytest.raises(ManifestError, match="line 6: the column 'label' is empty"):
        read_manifest(write(text))
    table = read_manifest(write(text.replace("p2;", "p2;y")))
    assert table["mpp"].tolist()[:1] == [0.25]
    assert table["comment"].tolist() == ["two\nlines", ""]
    with pytest.raises(ManifestError, match="UTF-8"):
        read_manifest(write("slide,label\ns,ü\n", encoding="latin-1"))


def test_a_table_without_patients_is_noted(write):
    table = read_manifest(write("slide,label\ns,x\nt,y\n"))
    assert table["patient_id"].tolist() == ["s", "t"]
    assert "no column names the patients" in table.attrs["notes"][0]
    assert read_manifest(write("slide,label,case\ns,x,p\n")).attrs["notes"] == []


def test_ambiguous_columns_and_how_to_choose(write):
    file = write("slide,label,class,case_id\ns,x,1,p\nt,y,1,q\n")
    with pytest.raises(ManifestError, match=r"'label' and 'class' may all be the label.*columns: \{label: label\}"):
        read_manifest(file)
    table = read_manifest(file, {"label": "class", "patient_id": "Case_ID"})
    assert table["label"].tolist() == ["1", "1"]
    assert table["table_label"].tolist() == ["x", "y"]
    with pytest.raises(ManifestError, match="'grade'; the table has slide, label, class"):
        read_manifest(file, {"label": "grade"})
    with pytest.raises(ManifestError, match="key 'name': it must be one of slide_id"):
        read_manifest(file, {"name": "slide"})


def test_labels_are_mapped_and_what_is_left_out_is_counted(write):
    file = write("slide,label\na,G1\nb,G3\nc,G2\nd,?\ne,?\nf,\n")
    labels = {"G3": "high", "G1": "low", "G2": "low", "G4": "high"}
    table = read_manifest(file, labels=labels)
    assert table["label"].tolist() == ["low", "high", "low"]
    assert table.attrs["left_out"] == {"": 1, "?": 2}
    assert class_list(table, labels=labels) == ["high", "low"]
    assert class_list(table) == ["high", "low"]
    with pytest.raises(ManifestError, match=r"none of its labels .* is in `data.labels`"):
        read_manifest(file, labels={"g1": "low"})
    sets = read_manifest(write("slide,label\na,p;q\nb,q;r\nc,r\n"), labels={"q": "Q", "p": "P"})
    assert sets["label"].tolist() == ["P;Q", "Q"]
    assert class_list(sets, multi_label=True) == ["P", "Q"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("slide,label\ns,x\ns,y\n", "'s' stands in lines 2, 3"),
        ("path,label\na/s.svs,x\nb/s.svs,y\n", "'s' stands in lines 2, 3"),
        ("slide_id,path,label\n1,s.svs,x\n2,s.svs,y\n", "lines 2 and 3 name the same slide"),
        ("slide_id,path,label\n1,s.svs,x\n2,./s.tif,y\n", "lines 2 and 3 name the same slide"),
        ("slide,label\n", "names no slide"),
        ("", "is empty"),
        ("slide,case\ns,p\n", r"lacks the column\(s\) label; it has slide, case.*join the table"),
        ("label,case\ns,p\n", r"lacks the column\(s\) slide_id, path"),
        ("slide,label\ns,x,y\n", "line 2: 3 values for 2 columns"),
        ("slide,label,label\ns,x,y\n", "several columns named 'label'"),
        ("slide,label,mpp\ns,x,0.5\nt,x,fine\n", "line 3: slide 't' has a bad mpp"),
        ("slide,label,mpp\ns,x,200\n", "line 2: slide 's' has a bad mpp.*0.05..50 um/px"),
        ("slide,label,case,split\ns,x,p,train\nt,x,p,test\n", "patient 'p' stands in several splits"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(write, text, message):
    with pytest.raises(ManifestError, match=message):
        read_manifest(write(text))


def test_slides_of_one_name_in_several_folders_need_ids_of_their_own(write):
    table = read_manifest(write("slide_id,path,label\n1,a/s.svs,x\n2,b/s.svs,y\n"))
    assert table["slide_id"].tolist() == ["1", "2"]


def test_unreadable_files(tmp_path, write):
    with pytest.raises(ManifestError, match=r"'.*none.csv' does not exist"):
        read_manifest(tmp_path / "none.csv")
    with pytest.raises(ManifestError, match="not a readable XLSX"):
        read_manifest(write("slide,label\n", "m.xlsx"))
    with pytest.raises(ManifestError, match="save it as"):
        read_manifest(write("slide,label\n", "m.xls"))


def test_paths_are_looked_up_in_the_folder(write, slides):
    file = write("slide,label\na,x\nb,x\nc.1,x\nx/d,x\ngone,x\n")
    with pytest.raises(ManifestError, match="slide_id 'x/d'"):
        read_manifest(file)
    file = write("slide_id,wsi,label\na,a,x\nb,b.ndpi,x\nc,c.1.h5,x\nd,x/d,x\ngone,gone.svs,x\nother,b.tif,x\n")
    table = read_manifest(file, slides=slides)
    assert table["path"].tolist() == ["a.svs", "sub/b.ndpi", "sub/c.1.tif", "x/d.svs", "gone.svs", "b.tif"]
    with pytest.raises(ManifestError, match=r"line 2: 'd' may be 'x/d.svs', 'y/d.svs'"):
        read_manifest(write("slide,label\nd,x\n"), slides=slides)
    with pytest.raises(NotADirectoryError, match="none"):
        read_manifest(file, slides=slides / "none")


def test_slides_beside_the_table_and_the_reverse(write, slides):
    (slides / "dicom").mkdir()
    for name in ("1.dcm", "2.dcm"):
        (slides / "dicom" / name).touch()
    (slides / "sub" / "above").symlink_to(slides)
    table = read_manifest(write("slide_id,path,label\n1,a,x\n2,gone.svs,y\n3,dicom/1.dcm,y\n"), slides=slides)
    beside = compare_folder(table, slides)
    assert beside.not_in_table == ["sub/b.ndpi", "sub/c.1.tif", "x/d.svs", "y/d.svs"]
    assert beside.not_in_folder == ["2"]


def test_the_configuration_says_how(write, slides):
    from ats_mag.config.schema import DataConfig, RunConfig

    data = DataConfig(
        slides=slides, manifest=write("slide,grade\na,1\nb,2\n"), columns={"label": "grade"}, labels={"1": "low"}
    )
    table = load_manifest(RunConfig(data=data))
    assert isinstance(table, pd.DataFrame)
    assert columns_of(table) == [["a", "a", "a.svs", "low"]]


def test_rows_past_the_stated_size_of_a_sheet_are_read(tmp_path):
    """Programs that append rows do not always correct what the sheet says of its size."""
    table = pd.DataFrame({"slide_id": [f"{i:03d}" for i in range(10)], "label": list("xy" * 5)})
    table.to_excel(tmp_path / "whole.xlsx", index=False)
    with zipfile.ZipFile(tmp_path / "whole.xlsx") as whole, zipfile.ZipFile(tmp_path / "m.xlsx", "w") as stale:
        for name in whole.namelist():
            content = whole.read(name)
            if name.endswith("sheet1.xml"):
                assert b'<dimension ref="A1:B11"' in content
                content = content.replace(b'<dimension ref="A1:B11"', b'<dimension ref="A1:A6"')
            stale.writestr(name, content)
    assert read_manifest(tmp_path / "m.xlsx")[["slide_id", "label"]].to_numpy().tolist() == table.to_numpy().tolist()


@pytest.mark.parametrize("first", ["", "\n\n", "sep=;\n", '\n"SEP=;"\r\n'])
def test_lines_before_the_header_say_no_column(write, first):
    table = read_manifest(write(first + "slide;case;label\n1,5;p;x\n"))
    assert columns_of(table) == [["1,5", "p", "1,5", "x"]]


def test_mends_and_notes_of_labels(write):
    with pytest.raises(ManifestError, match=r"line 3: the column 'label' is empty: fill it.*leave .* by `data.labels`"):
        read_manifest(write("slide,case,label\n1,p,x\n2,q,\n"))
    table = read_manifest(write("slide,case,label\n1,p,x\n2,q,NA\n3,r,nan\n"))
    assert table.attrs["notes"] == [
        "the label 'NA' (line 3), 'nan' (line 4) is taken for a class: if it stands for none, remove these slides, or leave them out by "
        "`data.labels`"
    ]


def test_paths_of_other_systems_are_found(write, slides):
    """Backslashes of Windows; letters with accents, which macOS stores as two characters."""
    (slides / "Mu\u0308ller").mkdir()
    (slides / "Mu\u0308ller" / "e\u0301.svs").touch()
    file = write("slide_id,path,label\n1,sub\\b.ndpi,x\n2,M\u00fcller/\u00e9,x\n")
    assert read_manifest(file, slides=slides)["path"].tolist() == ["sub/b.ndpi", "Mu\u0308ller/e\u0301.svs"]


def test_one_file_by_two_paths_is_one_slide(write, slides):
    (slides / "link.svs").symlink_to(slides / "a.svs")
    for other in (str(slides / "a.svs"), "link.svs"):
        with pytest.raises(ManifestError, match="lines 2 and 3 name the same slide"):
            read_manifest(write(f"slide_id,path,label\n1,a.svs,x\n2,{other},y\n"), slides=slides)


def test_the_length_of_an_id_is_that_of_its_bytes(write):
    with pytest.raises(ManifestError, match="more than 200 bytes"):
        read_manifest(write("slide,label\n" + "\u00e9" * 101 + ",x\n"))
    assert len(read_manifest(write("slide,label\n" + "\u00e9" * 100 + ",x\n"))) == 1


def test_a_column_that_only_sounds_like_a_split_stops_nothing(write):
    text = "slide,case,label,set\n1,p,x,TMA1\n2,p,x,TMA2\n"
    assert read_manifest(write(text))["split"].tolist() == ["TMA1", "TMA2"]
    with pytest.raises(ManifestError, match="several splits"):
        read_manifest(write(text.replace("TMA1", "Training").replace("TMA2", "val")))
    assert len(read_manifest(write(text.replace("TMA1", "Training").replace("TMA2", "train")))) == 2
