import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ats_mag.cohort.spellings import near_equal, one_spelling, people_order

NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)


@pytest.mark.parametrize(
    "names",
    [
        ["2", "10"],
        ["-1", "0", "1"],
        [".25", "0.5", "1", "1e1", "20"],
        ["grade 1", "grade 2", "grade 10", "Grade 11"],
        ["2", "1a", "10b", "low"],  # numbers before words that begin with one
        ["a", "A", "b", "B", "c"],
        ["cote", "coté", "coti"],
        ["Adenom", "Ähre", "Zelle"],
        ["G3", "G4", "ISUP 1"],
    ],
)
def test_names_are_sorted_as_people_sort(names):
    backwards = names[::-1]
    assert sorted(backwards, key=people_order) == names


@given(st.lists(NAMES, unique=True))
def test_any_names_have_one_order(names):
    backwards = names[::-1]
    assert sorted(names, key=people_order) == sorted(backwards, key=people_order)


@given(NAMES)
def test_what_is_not_seen_makes_no_other_spelling(name):
    same = one_spelling(name)
    for other in (f" {name}", f"{name}\u200b", f"\ufeff{name}\u00a0", unicodedata.normalize("NFD", name)):
        assert one_spelling(other) == same


@pytest.mark.parametrize(
    "names",
    [
        ["Tumour", "tumour", "TUMOUR"],
        ["nor\u00admal", "normal", "normal\u200b"],
        ["high  grade", "high grade", "high\u00a0grade", "high-grade", "high_grade", "high\u2013grade"],
        ["me\u0301tastase", "m\u00e9tastase"],
        ["0", "0.0", "00", "-0"],
        ["1", "1,0", "1.0", "1e0"],
        ["007", "7", "7.0"],
        ["P01", "P1", "p001"],
        ["TRUE", "True", "true"],
        ["stra\u00dfe", "STRASSE"],
        ["\uff21", "a"],  # full width
    ],
)
def test_spellings_of_one(names):
    assert near_equal([*names, "another"]) == [sorted(names)]


@pytest.mark.parametrize(
    "names", [["-1", "1"], ["1.5", "1.05"], ["T1", "T10", "T100"], ["a b", "ab"], ["\u00e9", "e"], ["1-2", "12"]]
)
def test_names_that_differ_stay_apart(names):
    assert near_equal(names) == []
