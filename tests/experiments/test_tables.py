"""The tables of the pages are those that the result files make."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "experiments"))
import tables


@pytest.mark.parametrize("page", tables.pages(), ids=lambda page: page.name)
def test_tables_are_of_the_results(page):
    text = page.read_text()
    assert tables.filled(text) == text, "run `python experiments/tables.py`"
