"""Names as people take them: in which order they belong, and which of them are spellings of one."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from decimal import Decimal

_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"


def people_order(name: str) -> tuple[object, ...]:
    """The key to sort names by as people do: numbers by value, and before words; "grade 2" before "grade 10".

    Accents and case decide only between names that are else equal, then plain before accented, small before large letters,
    whatever the machine's language.
    """
    if _NUMBER.fullmatch(name):
        return (0, _value(name), name)
    decomposed = unicodedata.normalize("NFKD", name)
    bare = "".join(c for c in decomposed if not unicodedata.combining(c)).casefold()
    parts = [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.findall(r"\d+|\D+", bare)]
    return (1, parts, decomposed.casefold(), decomposed.swapcase(), name)


def one_spelling(name: str) -> str:
    """What spellings of one name have in common: those that differ only in case, blanks, dashes, Unicode form, characters that
    are not seen, or zeros before a number."""
    seen = "".join(c for c in unicodedata.normalize("NFKC", name) if unicodedata.category(c) != "Cf").strip()
    if _NUMBER.fullmatch(seen):
        return str(_value(seen))
    blanks = re.sub(rf"[\s_\-{_DASHES}]+", " ", unicodedata.normalize("NFKC", seen.casefold())).strip()
    return re.sub(r"(?<!\d)0+(?=\d)", "", blanks)


def near_equal(names: Iterable[str]) -> list[list[str]]:
    """Groups of different names that are spellings of one, each sorted; names that stand alone are left out."""
    groups: dict[str, set[str]] = {}
    for name in names:
        groups.setdefault(one_spelling(name), set()).add(name)
    return sorted(sorted(group) for group in groups.values() if len(group) > 1)


def _value(number: str) -> Decimal:
    value = Decimal(number.replace(",", "."))
    return value.normalize() if value else Decimal(0)
