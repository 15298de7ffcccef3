"""The CSV that grows by whole rows."""

import csv
import json
import os

import pytest
from backends import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from ats_mag.cohort.find_slides import CohortSlide
from ats_mag.prediction.failures import FailureTable, failures_of
from ats_mag.prediction.table import PredictionTable
from ats_mag.system.csv_cells import cell_text

CARD = {"model": "/m.keras", "sha256": "0", "options": {}, "ats_mag": "1"}
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1, max_size=8)


def row(path, value=0.1):
    return {"path": path, "slide_id": "s", "mpp": None, "p_a": value}


def write(path, rows):
    with PredictionTable(path, CARD) as table:
        for one in rows:
            table.append(one)


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@settings(max_examples=examples(60), deadline=None)
@given(names=st.lists(NAMES, min_size=1, max_size=5, unique=True), share=st.floats(0, 1))
def test_cut_off_anywhere_whole_rows_stay_and_the_rest_is_written_again(tmp_path_factory, names, share):
    path = tmp_path_factory.mktemp("t") / "p.csv"
    rows = [row(f"/{name}", 1 / 3 + i) for i, name in enumerate(names)]
    write(path, rows)
    whole = path.read_bytes()
    cut = round(share * len(whole))
    os.truncate(path, cut)
    with PredictionTable(path, CARD) as table:
        stood = list(table.rows)
        assert stood == [one["path"] for one in rows[: len(stood)]]
        assert path.read_bytes() == whole[: path.stat().st_size]
        for one in rows:
            if one["path"] not in table.rows:
                table.append(one)
    assert path.read_bytes() == whole
    assert [float(one["p_a"]) for one in read(path)] == [one["p_a"] for one in rows]


def test_rows_of_another_model_are_refused_and_stay(tmp_path):
    path = tmp_path / "p.csv"
    write(path, [row("/a")])
    before = path.read_bytes()
    for change in ({"sha256": "1"}, {"options": {"adaptive": True}}):
        with pytest.raises(ValueError, match=r"holds predictions of another .* \(model '/m.keras', options {}\)"):
            PredictionTable(path, CARD | change)
    with PredictionTable(path, CARD | {"model": "/moved.keras", "ats_mag": "2"}) as table:
        assert list(table.rows) == ["/a"]
    (tmp_path / "p.csv.model.json").unlink()
    with pytest.raises(ValueError, match=r"p\.csv\.model\.json"):
        PredictionTable(path, CARD)
    assert path.read_bytes() == before


def test_files_of_others_are_never_changed(tmp_path):
    path = tmp_path / "p.csv"
    write(path, [row("/a")])
    for text in ("a,b\n1,2\n3", "path,slide_id,mpp,p_a\n/a,s,,0.1\n/a,s,,0.2\n", "a,b\n", "path,slide_id,mpp\n1,2\n"):
        path.write_text(text)
        with pytest.raises(ValueError, match="choose another file"):
            PredictionTable(path, CARD)
        assert path.read_text() == text
    other = tmp_path / "other.csv"
    other.write_text("notes")
    with pytest.raises(ValueError, match="choose another file"):
        PredictionTable(other, CARD)
    assert other.read_text() == "notes"
    with pytest.raises(IsADirectoryError):
        PredictionTable(tmp_path, CARD)


def test_one_process_at_a_time_and_one_kind_of_row(tmp_path):
    path = tmp_path / "p.csv"
    with PredictionTable(path, CARD) as table:
        table.append(row("/a"))
        with pytest.raises(RuntimeError, match="another process"):
            PredictionTable(path, CARD)
        with pytest.raises(ValueError, match="columns"):
            table.append(row("/b") | {"patches": 3})
    write(path, [row("/b")])
    assert [one["path"] for one in read(path)] == ["/a", "/b"]
    assert json.loads((tmp_path / "p.csv.model.json").read_text()) == CARD


def test_an_empty_table_is_of_any_model(tmp_path):
    path = tmp_path / "p.csv"
    write(path, [])
    with PredictionTable(path, CARD | {"sha256": "1"}):
        pass
    assert json.loads((tmp_path / "p.csv.model.json").read_text())["sha256"] == "1"


@pytest.mark.parametrize("names", [("p.one", "p.two"), ("p.csv", "p.tsv"), ("p", "p.csv"), ("p.csv", "p.csv.csv")])
def test_tables_share_no_companion(tmp_path, names):
    cards = [CARD, CARD | {"sha256": "1"}]
    for name, card in zip(names, cards, strict=True):
        with PredictionTable(tmp_path / name, card) as table:
            table.append(row("/a"))
    for name, mine, others in zip(names, cards, cards[::-1], strict=True):
        with pytest.raises(ValueError, match="holds predictions of another model"):
            PredictionTable(tmp_path / name, others)
        with PredictionTable(tmp_path / name, mine) as table:
            assert list(table.rows) == ["/a"]
    assert len({failures_of(tmp_path / name) for name in names}) == 2


def test_a_table_of_an_earlier_release_goes_on_and_gets_a_card_of_its_own(tmp_path):
    path = tmp_path / "p.csv"
    write(path, [row("/a")])
    (tmp_path / "p.csv.model.json").rename(tmp_path / "p.model.json")
    with pytest.raises(ValueError, match="holds predictions of another model"):
        PredictionTable(path, CARD | {"sha256": "1"})
    write(path, [row("/b")])
    assert [one["path"] for one in read(path)] == ["/a", "/b"]
    assert json.loads((tmp_path / "p.csv.model.json").read_text()) == CARD


FORMULAS = ("=1+1", "+1-1", "-1-1", "@SUM(1)", "\t=1", "=cmd|' /C calc'!A0", "-", "+x")


@pytest.mark.parametrize("text", FORMULAS)
def test_no_text_is_a_formula_to_a_spreadsheet(tmp_path, text):
    path = tmp_path / "p.csv"
    write(path, [row("/a") | {"slide_id": text, "predicted": text}])
    (one,) = read(path)
    assert one["slide_id"] == one["predicted"] == f"'{text}"
    failures = FailureTable(path)
    for name in ("/b", "/c"):  # the table is read and written again
        failures = FailureTable(path)
        failures.put(name, CohortSlide(name, text), text)
    assert [(one["slide_id"], one["error"]) for one in read(failures.path)] == [(f"'{text}", f"'{text}")] * 2


@pytest.mark.parametrize("value", ["-1", "+0.5", "-2e-3", "a=b", "'", "s-1", -0.25, 1e-12, None, 3])
def test_numbers_and_other_text_stay_as_they_are(value):
    shown = "" if value is None else repr(value) if isinstance(value, float) else str(value)
    assert cell_text(value) == shown


def test_a_table_that_an_earlier_release_began_goes_on(tmp_path):
    """It had no column `predicted`."""
    path = tmp_path / "p.csv"
    write(path, [row("/a")])
    write(path, [row("/b") | {"predicted": "a"}])
    assert read(path) == [{"path": f"/{name}", "slide_id": "s", "mpp": "", "p_a": "0.1"} for name in "ab"]
    write(tmp_path / "new.csv", [row("/a") | {"predicted": "a"}])
    assert read(tmp_path / "new.csv")[0]["predicted"] == "a"


def test_a_device_is_no_table(tmp_path):
    pipe = tmp_path / "p.csv"
    os.mkfifo(pipe)  # to read it would wait without end, and /dev/zero fills the memory
    with pytest.raises(OSError, match="a device or a pipe"):
        PredictionTable(pipe, CARD)
    assert os.listdir(tmp_path) == ["p.csv"]
