"""Tables: no row vanishes, and the table is found below titles and behind other sheets."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook

from ats_mag.system.csv_lines import csv_lines
from ats_mag.system.tables import TableError, find_table, read_table

HEAD = ["slide_id", "patient_id", "path", "label"]
ROWS = [[f"S{i}", f"P{i}", f"S{i}.tif", "ab"[i % 2]] for i in range(40)]
CELL = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=6).map(str.strip)


def write(folder, lines, name="m.csv"):
    file = folder / name
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def of_rows(comments):
    """The lines of a table with 40 slides; `comments` by number of the row, as they stand in the file."""
    return [",".join([*HEAD, "comment"]), *(",".join([*row, comments.get(i, "")]) for i, row in enumerate(ROWS))]


def book(folder, sheets, name="m.xlsx"):
    """A workbook of sheets, each a name and rows; None as rows: a chart."""
    made = Workbook()
    made.remove(made.active)
    for title, rows in sheets.items():
        if rows is None:
            made.create_chartsheet(title)
            continue
        sheet = made.create_sheet(title)
        for row in rows:
            sheet.append(row)
    made.save(folder / name)
    return folder / name


def names_slides(cells):
    return {"slide_id", "label"} <= set(cells)


@pytest.mark.parametrize(
    ("comments", "line"),
    [
        ({5: '"fixed over night'}, 7),
        ({39: '"the last'}, 41),
        ({5: '"re-cut', 30: '2nd "piece"'}, 7),
        ({5: '"re-cut', 30: 'piece"'}, 7),  # a whole CSV, of fewer rows
        ({5: '"re-cut', 6: 'piece"'}, 7),
        ({5: '"a" or b'}, 7),
    ],
)
def test_a_quote_that_is_not_closed_is_named_with_its_line(tmp_path, comments, line):
    with pytest.raises(TableError, match=rf"m\.csv', line {line}: a double quote is opened"):
        read_table(write(tmp_path, of_rows(comments)))


def test_zero_bytes_are_named_with_their_line(tmp_path):
    (tmp_path / "m.csv").write_bytes(b"slide_id,label\ns0,a\ns1,b\n" + bytes(40))
    with pytest.raises(TableError, match=r"m\.csv', line 4: it holds zero bytes"):
        read_table(tmp_path / "m.csv")


def test_quotes_that_stand_as_they_should_swallow_nothing(tmp_path):
    comments = {5: '"two\nlines, and more"', 6: '5" core', 7: '"2nd ""piece"""', 8: 'a "b" c'}
    names, rows = read_table(write(tmp_path, of_rows(comments)))
    assert names == [*HEAD, "comment"]
    assert [cells[:4] for _, cells in rows] == ROWS
    assert [cells[4] for _, cells in rows[5:9]] == ["two\nlines, and more", '5" core', '2nd "piece"', 'a "b" c']
    assert [line for line, _ in rows[4:7]] == [6, 7, 9]  # the first line of each


@given(st.lists(st.lists(CELL, min_size=3, max_size=3), max_size=8))
def test_what_csv_writes_is_read_as_it_was(tmp_path_factory, cells):
    text = io.StringIO()
    csv.writer(text).writerows([["a", "b", "c"], *cells])
    file = tmp_path_factory.mktemp("csv") / "m.csv"
    file.write_text(text.getvalue(), encoding="utf-8", newline="")
    assert [line.cells for line in csv_lines(file).lines] == [["a", "b", "c"], *(row for row in cells if any(row))]


def test_a_value_longer_than_csv_reads_is_a_quote_that_is_not_closed(tmp_path):
    lines = [*of_rows({3: '"open'}), "x" * 200_000]
    with pytest.raises(TableError, match="line 5: a double quote is opened"):
        read_table(write(tmp_path, lines))


@pytest.mark.parametrize("above", [[["Cohort of 2024"], []], [["Cohort of 2024"], ["by hand"], []], []])
def test_titles_above_the_header(tmp_path, above):
    table = [*above, HEAD, *ROWS]
    for file in (book(tmp_path, {"slides": table}), write(tmp_path, [",".join(row) for row in table])):
        names, rows = read_table(file)
        assert (names, [cells for _, cells in rows]) == (HEAD, ROWS)
        assert rows[0][0] == len(above) + 2


def test_a_title_of_several_cells_is_passed_over_where_the_columns_are_known_and_else_named(tmp_path):
    file = book(tmp_path, {"slides": [["Cohort", "2024"], HEAD, *ROWS]})
    assert find_table(file, names_slides).names == HEAD
    with pytest.raises(TableError, match=r"line 2: 4 values for 2 columns, which line 1 names: remove titles"):
        find_table(file)
    assert read_table(write(tmp_path, ["path", "a.tif", "b.tif"]))[0] == ["path"]


def test_the_first_sheet_need_not_be_the_table(tmp_path):
    table = [HEAD, *ROWS]
    for first in ({"overview": None}, {"empty": []}, {"overview": None, "empty": []}):
        assert find_table(book(tmp_path, {**first, "slides": table})).names == HEAD
    about = book(tmp_path, {"about": [["made by", "us"], ["for", "you"]], "slides": table})
    found = find_table(about, names_slides)
    assert (found.names, len(found.rows), found.notes) == (HEAD, 40, [])
    with pytest.raises(TableError, match="is empty"):
        find_table(book(tmp_path, {"overview": None}))


def test_a_second_sheet_with_slides_is_not_left_out_without_a_word(tmp_path):
    file = book(tmp_path, {"train": [HEAD, *ROWS[:30]], "test": [HEAD, *ROWS[30:]]})
    found = find_table(file, names_slides)
    assert len(found.rows) == 30
    assert found.notes == [
        f"only {str(file)!r}, sheet 'train' was read, which names the columns, not {str(file)!r}, sheet 'test'"
    ]


def test_what_is_wrong_with_a_sheet_names_it(tmp_path):
    file = book(tmp_path, {"a": [["x", "x"], ["1", "2"]], "b": [["y"]]})
    with pytest.raises(TableError, match="sheet 'a' has several columns named 'x'"):
        read_table(file)
