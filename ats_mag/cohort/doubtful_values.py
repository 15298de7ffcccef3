"""Values of a manifest that are no values: what spreadsheets and people leave in a table, and spellings of one name."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import pandas as pd

from ats_mag.cohort.label_sets import label_parts
from ats_mag.cohort.spellings import near_equal

# As people and programs write that there is no value.
NO_VALUE = ("", "na", "n/a", "n.a.", "nan", "none", "null", "nil", "unknown", "missing", "tbd", "?", "-", "--")

_ERROR = re.compile(r"#[^\W\d_][\w/ ]*[!?]|#(N/A|NA|NV|N/D|N/B|DIV/0)|#{3,}", re.IGNORECASE)
_MONTH = "(jan|feb|mar|mär|mrz|apr|may|mai|mei|jun|jul|aug|sep|oct|okt|nov|dec|dez|janv|févr|mars|avr|juin|juil|août|sept|déc)"
_DATE = re.compile(
    r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d)?)?|\d{1,2}[./]\d{1,2}[./](\d{4}|\d\d)"
    rf"|\d{{1,2}}[-. /]+{_MONTH}[.]?([-. /]+\d{{2,4}})?|{_MONTH}[.]?[-. /]+\d{{1,4}}",
    re.IGNORECASE,
)
_SHOWN = 5


def is_missing(value: str) -> bool:
    """Whether a value says that there is none."""
    return value.lower() in NO_VALUE


def is_date(value: str) -> bool:
    """Whether a value is a date, as a spreadsheet makes of "1-2", "MARCH1" or "3/4"."""
    return _DATE.fullmatch(value) is not None


def wrong_value(table: pd.DataFrame, columns: Sequence[str], ids: Sequence[str]) -> str | None:
    """What is wrong with the first value that cannot be meant, and in which line; None: nothing.

    Args:
        table: of text; its index has the line numbers.
        columns: in which there must be no error of a spreadsheet.
        ids: in which a value must name something.
    """
    for name in columns:
        wrong = table[name][table[name].map(lambda value: _ERROR.fullmatch(value) is not None)]
        if len(wrong):
            return (
                f"line {wrong.index[0]}: the column {name!r} has {wrong.iloc[0]!r}, with which a spreadsheet says that a formula "
                f"failed{_also(wrong)}: write the value itself"
            )
    for name in ids:
        wrong = table[name][table[name].map(is_missing) & (table[name] != "")]
        if len(wrong):
            return (
                f"line {wrong.index[0]}: {name} {wrong.iloc[0]!r} names none{_also(wrong)}: write what it is, or, where it is not "
                "known, a name of its own for each"
            )
    return None


def doubts(table: pd.DataFrame, mapped: bool) -> list[str]:
    """Sentences on labels, patients and ids that may not be what was meant.

    Args:
        table: with `label`, `patient_id` and `slide_id`; its index has the line numbers.
        mapped: whether the labels are classes that `data.labels` names.

    Raises:
        ValueError: dates stand among labels that are none; the message begins with the line.
    """
    labels, patients = table["label"], table["patient_id"]
    notes = [] if mapped else _date_notes(labels)
    odd = labels[labels.map(is_missing)].drop_duplicates()
    if len(odd):
        listed = ", ".join(f"{label!r} (line {line})" for line, label in sorted(odd.items(), key=lambda item: item[1]))
        notes.append(
            f"the label {listed} is taken for a class: if it stands for none, remove these slides, or leave them out by "
            "`data.labels`"
        )
    if not mapped:
        parts = labels.map(label_parts).explode().dropna()
        notes += _spelling_notes("labels", parts, "write them alike, or map them to one class in `data.labels`")
    notes += _spelling_notes(
        "patients", patients, "write them alike, or one patient may stand on both sides of a split"
    )
    for name, values in {"slide_id": table["slide_id"], "patient_id": patients}.items():
        dates = values[values.map(is_date)]
        if 0 < len(dates) < len(values):
            notes.append(
                f"line {dates.index[0]}: the {name} {dates.iloc[0]!r} is a date, others are none: is it meant?"
            )
    return notes


def _date_notes(labels: pd.Series) -> list[str]:
    dates = labels[labels.map(is_date)]
    if dates.empty:
        return []
    said = f"line {dates.index[0]}: the label {dates.iloc[0]!r} is a date, as a spreadsheet makes of text such as 1-2 or MAR1"
    mend = "write the label as it was, in cells of the format text, or name it in `data.labels`"
    if len(dates) < len(labels):
        raise ValueError(f"{said}: {mend}")
    return [f"{said}, and so are all others: {mend}"]


def _spelling_notes(what: str, values: pd.Series, mend: str) -> list[str]:
    """A sentence on each group of names that people would take for one, with the line where each stands first.

    Args:
        what: the names are: "labels".
        values: the names; the index has the line numbers.
        mend: what to do.
    """
    first = {str(value): line for line, value in reversed(list(values.items()))}
    groups = near_equal(first)
    notes = []
    for group in groups[:_SHOWN]:
        listed = " and ".join(f"{_told(name)} (line {first[name]})" for name in group)
        notes.append(f"the {what} {listed} differ only in how they are written, and count as different ones: {mend}")
    if len(groups) > _SHOWN:
        notes.append(f"so do {len(groups) - _SHOWN} more groups of {what}")
    return notes


def _told(name: str) -> str:
    """In quotes; letters and accents in two parts look like those in one, and are told by their numbers."""
    return repr(name) if unicodedata.is_normalized("NFC", name) else ascii(name)


def _also(wrong: pd.Series) -> str:
    lines = ", ".join(map(str, wrong.index[1 : 1 + _SHOWN]))
    more = ", ..." if len(wrong) > 1 + _SHOWN else ""
    return f" (so do lines {lines}{more})" if len(wrong) > 1 else ""
