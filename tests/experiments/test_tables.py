"""The tables of the pages are those that the result files make."""

import pytest

from experiments.tables import pages


@pytest.mark.parametrize("page", pages.pages(), ids=lambda page: page.name)
def test_tables_are_of_the_results(page):
    text = page.read_text()
    assert pages.filled(text) == text, "run `python -m experiments.tables`"
