import base64
import html
import io
import json
import re
import shutil
import warnings
from html.parser import HTMLParser

import numpy as np
import pytest
from made_results import ATTACK, CLASSES, make_run
from PIL import Image

from ats_mag.config.reading import read_config
from ats_mag.evaluation.result_files import read_table
from ats_mag.evaluation.scored_table import EvaluationWarning
from ats_mag.preparation.job import Facts
from ats_mag.preparation.state import State, write_state
from ats_mag.report.page import write_report
from ats_mag.runs.run import Run
from ats_mag.runs.run_file import RunError
from ats_mag.slides.quality import Quality
from ats_mag.training.checkpoints import Checkpoints


@pytest.fixture(autouse=True)
def _small_folds_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EvaluationWarning)
        yield


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Runs that were made, as drawing their figures takes a second each."""
    return tmp_path_factory.mktemp("made")


@pytest.fixture
def made(kept, tmp_path):
    """`made(**options)` -> the configuration of a run of one's own, see `make_run`."""

    def copy(**options):
        name = "-".join(f"{key}={value}" for key, value in options.items()) or "default"
        if not (kept / name).exists():
            make_run(kept / name, **options)
        shutil.copytree(kept / name, tmp_path / "of")
        return read_config(tmp_path / "of" / "config.yaml")

    return copy


class Page(HTMLParser):
    """The elements and the text of a page."""

    def __init__(self, file):
        super().__init__()
        self.elements, self.text = [], ""
        self._hidden = False
        self.source = file.read_text(encoding="utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._hidden = tag in ("script", "style")

    def handle_endtag(self, tag):
        self._hidden = False

    def handle_data(self, data):
        self.text += "" if self._hidden else data

    def of(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def test_a_run_of_several_folds(made):
    config = made()
    file = write_report(Run.stored(config))
    assert file == config.run / "report.html"
    page = Page(file)
    found = json.loads((config.run / "evaluation.json").read_text())
    for measure in (found["slides"]["mean"]["auroc"], found["patients"]["pooled"]["measures"]["auroc"]):
        assert f"{measure['value']:.3f} ({measure['low']:.3f} to {measure['high']:.3f})" in page.text
    for row in read_table(config.run / "slides.csv").itertuples():
        assert row.slide_id in page.text
    assert len(page.of("img")) == 3 * 4 + 2  # curves of all folds and of each, a history of each
    assert "versions" not in page.text.lower() or "numpy" in page.text
    assert "tensorflow" in page.text
    assert "kind: kfold" in page.text
    assert write_report(Run.stored(config)).read_text() == page.source  # the same for the same results


def test_the_table_says_which_slides_are_wrong(made):
    config = made()
    page = write_report(Run.stored(config)).read_text()
    table = read_table(config.run / "slides.csv")
    wrong = table[table["label"] != table["predicted"]]["slide_id"]
    assert 0 < len(wrong) < len(table)
    rows = re.findall(r'<tr class="wrong"><td>\d</td><td class="text">(.*?)</td>', page)
    assert sorted(map(html.unescape, rows)) == sorted(wrong)
    assert page.count('<td class="text">wrong</td>') == len(wrong)
    assert page.count('<td class="text">right</td>') == len(table) - len(wrong)


def test_names_are_data(made):
    page = Page(write_report(Run.stored(made())))
    assert len(page.of("script")) == 1  # the page's own
    assert not page.of("b")
    assert ATTACK.replace("/", "") in page.text
    assert CLASSES[1] in page.text
    handlers = [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert not handlers


def test_nothing_is_loaded_from_anywhere(made):
    page = Page(write_report(Run.stored(made())))
    for _, attributes in page.elements:
        for name in ("src", "srcset", "data", "action", "poster"):
            assert (attributes.get(name) or "data:").startswith("data:")
    assert not page.of("link")
    (policy,) = [meta["content"] for meta in page.of("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    for source in re.findall(r'src="data:image/svg\+xml;base64,(.*?)"', page.source):
        assert b"<svg" in base64.b64decode(source)


def test_what_is_not_there_yet_is_said(made):
    config = made(folds=3, measured=[])
    page = Page(write_report(Run.stored(config)))
    assert "No model yet of folds 0, 1, 2" in page.text
    assert "Nothing was measured yet" in page.text
    assert "No test slide was predicted yet" in page.text
    assert page.text.count("There is no history: not trained yet") == 3
    assert not page.of("img")


def test_an_evaluation_of_models_that_are_gone_is_not_shown(made):
    config = made()
    (config.run / "fold-1" / "metrics.json").unlink()
    page = Page(write_report(Run.stored(config)))
    assert (config.run / "evaluation.json").exists()
    assert "Not measured yet: fold 1" in page.text
    assert "Test slides, " not in page.text


def test_some_folds_measured(made):
    config = made(folds=3, measured=[1], figures=False)
    (config.run / "fold-0").mkdir()
    (config.run / "fold-0" / "model.keras").write_text("a model")
    page = Page(write_report(Run.stored(config)))
    assert "No model yet of fold 2" in page.text
    assert "Not measured yet: fold 0" in page.text
    assert "fold 1 (" in page.text


def test_one_fold(made):
    config = made(folds=1)
    (config.run / "fold-0" / "bad_slides.csv").write_text("slide_id,path,error\ns00,s00.tif,is <i>torn</i>\n")
    page = Page(write_report(Run.stored(config)))
    assert "Slide s00 could not be read while training: is <i>torn</i>" in page.text
    assert len(page.of("img")) == 5
    measure = json.loads((config.run / "fold-0" / "metrics.json").read_text())["slides"]["measures"]["auroc"]
    assert f"{measure['value']:.3f}" in page.text
    for name in ("roc.svg", "precision_recall.svg", "reliability.svg", "confusion.svg"):
        (config.run / "fold-0" / name).unlink()
    assert "Curves were not drawn" in Page(write_report(Run.stored(config))).text


def test_several_labels_per_slide(made):
    config = made(folds=1, head="multi_label", figures=False)
    table = read_table(config.run / "slides.csv")
    same = [set(a.split(";")) == set(b.split(";")) for a, b in zip(table["label"], table["predicted"], strict=True)]
    assert write_report(Run.stored(config)).read_text().count('<td class="text">right</td>') == sum(same) > 0


def test_quality_sheets_are_linked(made):
    config = made(folds=1)
    sheets = config.run / "records" / "sheets"
    sheets.mkdir(parents=True)
    shown = read_table(config.run / "slides.csv")["slide_id"][0]
    (sheets / f"{shown}.png").write_bytes(b"")
    (sheets / "index.html").write_text("")
    links = [a["href"] for a in Page(write_report(Run.stored(config))).of("a") if not a["href"].startswith("#")]
    assert links == [f"records/sheets/{shown}.png", "records/sheets/index.html"]


def test_the_right_the_wrong_and_the_unsure_are_shown(made):
    config = made(folds=1)
    sheets = config.run / "records" / "sheets"
    sheets.mkdir(parents=True)
    table = read_table(config.run / "slides.csv").set_index("slide_id")
    for slide_id in table.index:
        Image.new("RGB", (600, 300), "pink").save(sheets / f"{slide_id}.png")
    page = Page(write_report(Run.stored(config)))
    pictures = [img for img in page.of("img") if img["src"].startswith("data:image/jpeg")]
    margin = (table[f"p_{CLASSES[0]}"] - table[f"p_{CLASSES[1]}"]).abs().sort_values()
    right = table["label"] == table["predicted"]
    assert len(pictures) == min(4, right.sum()) + min(4, (~right).sum()) + min(4, len(table))
    with Image.open(io.BytesIO(base64.b64decode(pictures[0]["src"].partition(",")[2]))) as shown:
        assert shown.size == (280, 140)
    _, sure, rest = re.split("Right, and sure|Unsure, the least sure first", page.text.partition("All")[0])
    assert margin.index[0] in rest
    assert margin[right].index[-1] in sure.partition("Wrong")[0]
    if (~right).any():
        assert margin[~right].index[-1] in sure.partition("Wrong")[2]
    (sheets / f"{margin.index[0]}.png").write_bytes(b"torn")
    write_report(Run.stored(config))


def test_the_title_says_of_what_and_how_long_training_took(made):
    config = made(folds=1)
    Checkpoints(config.run / "fold-0" / "checkpoints").write(3, 0, {"seconds": 3725.2}, {"x": np.zeros(2)})
    page = Page(write_report(Run.stored(config)))
    assert "<title>of / run: report</title>" in page.source
    assert "1:02:05" in page.text
    Checkpoints(config.run / "fold-0" / "checkpoints").write(4, 0, {}, {"x": np.zeros(2)})  # of an earlier release
    assert "1:02:05" not in Page(write_report(Run.stored(config))).text


def test_slides_that_deserve_a_look_are_listed(made):
    config = made(folds=1, figures=False)
    assert "deserve a look" not in Page(write_report(Run.stored(config))).text
    first, second = read_table(config.run / "slides.csv")["slide_id"][:2]
    for slide_id, ink in ((first, 0.08), (second, 0.0)):
        quality = Quality(0.3, 0.5, ink, 0.0, 0.0, False, 0.3)
        facts = Facts(0.5, "manifest", 100, 100, 0.3, 9, False, quality)
        (config.run / "records" / "state").mkdir(parents=True, exist_ok=True)
        write_state(config.run / "records", State(slide_id, status="done", facts=facts))
    text = Page(write_report(Run.stored(config))).text
    assert text.count("has the colour of ink") == 1
    assert "8.0% of the overview" in text


def test_a_folder_without_a_run_and_a_damaged_one(made):
    config = made(folds=1)
    (config.run / "evaluation.json").write_text("{")
    with pytest.raises(ValueError, match=r"evaluation.json.*is damaged.*ats-mag evaluate"):
        write_report(Run.stored(config))
    (config.run / "run.json").unlink()
    with pytest.raises(RunError, match="ats-mag prepare"):
        write_report(Run.stored(config))
