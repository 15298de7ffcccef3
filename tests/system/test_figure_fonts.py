import io

import matplotlib
import pytest
from matplotlib.figure import Figure

from ats_mag.system import figure_fonts
from ats_mag.system.figure_fonts import any_script, font_of, readable


@pytest.fixture
def only_own(monkeypatch):
    """A machine that has the font of matplotlib only."""
    from matplotlib.font_manager import fontManager

    font_of.cache_clear()
    monkeypatch.setattr(fontManager, "ttflist", [font for font in fontManager.ttflist if font.name == "DejaVu Sans"])
    yield
    font_of.cache_clear()


def drawn(text, kind):
    with any_script([text], svg=kind == "svg"):
        figure = Figure()
        figure.text(0.5, 0.5, text)
        written = io.BytesIO()
        figure.savefig(written, format=kind)  # warnings are errors
    return written.getvalue()


@pytest.mark.parametrize("text", ["tumour", "Größe", "опухоль", "ὄγκος", "ورم", "גידול"])
def test_scripts_of_the_font_that_is_always_there_stay(only_own, text):
    assert readable(text) == text
    svg = drawn(text, "svg")
    assert b"<text" not in svg  # outlines, which need no font


def test_what_no_font_has_is_told_by_its_number_and_stays_text_in_svg(only_own):
    assert readable("肿瘤 1") == "[U+80BF][U+7624] 1"
    assert readable("肿块") != readable("肿瘤")
    assert "肿瘤" in drawn("肿瘤", "svg").decode()
    drawn("肿瘤", "png")


def test_another_font_of_the_machine_is_used(monkeypatch):
    mathematics = "\U0001d538"  # double-struck A, in STIX fonts that matplotlib brings along
    font = font_of(mathematics)
    assert readable(mathematics) == mathematics
    with any_script([f"a{mathematics}"]):
        assert matplotlib.rcParams["font.family"] == list(dict.fromkeys(["DejaVu Sans", font]))
    assert matplotlib.rcParams["font.family"] == ["sans-serif"]


def test_line_breaks_and_boxes_are_no_characters_of_a_font():
    assert readable("a\nb") == "a\nb"
    assert figure_fonts.font_of("a") == "DejaVu Sans"
