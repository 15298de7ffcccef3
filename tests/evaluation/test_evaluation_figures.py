"""Figures are whole, name what they show, and are the same bytes for the same data."""

import warnings
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest

from ats_mag.evaluation.figures import draw_figures
from ats_mag.evaluation.intervals import measure_level
from ats_mag.evaluation.scored_table import Scored, UndefinedMeasureWarning
from ats_mag.runs.layout import ResultFiles

NAMES = {"roc.svg", "precision_recall.svg", "reliability.svg", "confusion.svg"}


def made(n, classes, exclusive=True, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.random((n, len(classes))) < 0.4
    if exclusive:
        truth = np.arange(len(classes)) == rng.integers(len(classes), size=n)[:, None]
    p = rng.random((n, len(classes))) * 0.8 + 0.5 * truth
    p = p / p.sum(1, keepdims=True) if exclusive else p / 1.3
    patients = (np.arange(n) // 2).astype(str)
    scored = {
        level: Scored(f"fold 0, {level}", level[:-1], classes, truth, p, patients, exclusive)
        for level in ("slides", "patients")
    }
    return scored, {"confidence": 0.95} | {level: measure_level(s, 100) for level, s in scored.items()}


@pytest.mark.parametrize(
    ("n", "classes", "exclusive"),
    [
        (60, ["benign", "malignant"], True),
        (80, ["a", "_b $x", "c"], False),
        (2, ["a", "b", "c", "d"], True),
        (0, ["a", "b"], True),
    ],
)
def test_figures(tmp_path, n, classes, exclusive):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMeasureWarning)
        scored, found = made(n, classes, exclusive)
    with matplotlib.rc_context({"svg.fonttype": "none"}):  # text as text
        draw_figures(ResultFiles(tmp_path), scored, found)
    assert {file.name for file in tmp_path.iterdir()} == NAMES
    for name in NAMES:
        text = (tmp_path / name).read_bytes()
        words = " ".join(ElementTree.fromstring(text).itertext())
        assert "fold 0, patients" in words
        if name in ("precision_recall.svg", "confusion.svg"):
            assert all(c in words for c in classes)
    words = " ".join(ElementTree.parse(tmp_path / "roc.svg").getroot().itertext())
    assert "false positive rate" in words
    assert "chance" in words
    measure = found["slides"]["measures"][f"auroc_{classes[1]}"]
    shown = "{value:.2f} ({low:.2f} to {high:.2f})".format(**measure) if n > 2 else "undefined"
    assert f"{classes[1]}: {shown}" in words


def test_figures_of_the_same_data_are_the_same_bytes(tmp_path):
    scored, found = made(80, ["a", "_b $x", "c"], exclusive=False)
    for again in ("first", "second"):
        (tmp_path / again).mkdir()
        draw_figures(ResultFiles(tmp_path / again), scored, found)
    for name in NAMES:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_names_in_any_script_are_read_by_who_looks_at_the_figure(tmp_path):
    """Where no font here has them, they stay text; a machine with such fonts draws their outlines."""
    from ats_mag.system.figure_fonts import font_of

    classes = ["опухоль", "肿瘤"]
    scored, found = made(20, classes)
    draw_figures(ResultFiles(tmp_path), scored, found)  # warnings, as of glyphs that are missing, are errors
    text = (tmp_path / "confusion.svg").read_text(encoding="utf-8")
    assert ("肿瘤" in ElementTree.fromstring(text).itertext()) == (font_of("肿") is None)
