"""Quality sheets and their page: deterministic, right in what they show, and safe against what ids contain."""

import io
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from ats_mag.preparation.index import write_index
from ats_mag.preparation.job import Facts, Job
from ats_mag.preparation.sheet import LONGEST, bar_length, draw_sheet
from ats_mag.preparation.state import State


def view(height, width):
    overview = np.full((height, width, 3), 240, np.uint8)
    mask = np.zeros((height, width), bool)
    mask[height // 4 : height // 2, width // 4 : width // 2] = True
    overview[mask] = (180, 80, 160)
    return overview, mask


@pytest.mark.parametrize(("size", "side"), [((60, 40), 540), ((300, 700), 700), ((2500, 1300), 834), ((1, 1), 500)])
def test_a_sheet(size, side):
    overview, mask = view(*size)
    png, cells = draw_sheet(overview, mask, 8, 8.0)
    assert png == draw_sheet(overview.copy(), mask.copy(), 8, 8.0)[0]
    sheet = Image.open(io.BytesIO(png))
    assert sheet.info == {}
    assert max(sheet.size) <= LONGEST + 34
    assert max(sheet.width, sheet.height - 34) == side
    from ats_mag.geometry.cells import valid_cells

    assert cells == int(np.asarray(valid_cells(mask, 8)).sum())


def test_colours_say_what_is_looked_at():
    overview, mask = view(600, 600)
    sheet = np.asarray(Image.open(io.BytesIO(draw_sheet(overview, mask, 20, 8.0)[0])))
    assert tuple(sheet[170, 170]) == (180, 80, 160)
    assert tuple(sheet[150, 170]) == (0, 200, 83)  # the upper edge of the mask
    assert tuple(sheet[170, 180]) == (110, 89, 207)  # a cell begins at column 180
    assert tuple(sheet[140, 170]) == (41, 98, 255)  # the lattice begins at row 140
    assert tuple(sheet[450, 450]) == (248, 248, 248)  # glass is paler
    assert (sheet[600 + 14, 10:40] == 0).all()  # the scale bar
    assert tuple(sheet[50, 180]) == (248, 248, 248)  # no lattice outside


@pytest.mark.parametrize(
    ("um", "text"), [(999, "500 um"), (1000, "1 mm"), (2600, "2 mm"), (70, "50 um"), (12000, "10 mm")]
)
def test_scale_bars_have_round_lengths(um, text):
    length, found = bar_length(um)
    assert found == text
    assert um / 2.5 < length <= um


class Cards(HTMLParser):
    def __init__(self):
        super().__init__()
        self.cards, self.images, self.tags = [], [], set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        attributes = dict(attrs)
        if tag == "article":
            self.cards.append((attributes["data-id"], attributes["class"]))
        if tag == "img":
            self.images.append(attributes["src"])
        assert not str(attributes.get("src", "")).startswith(("http", "/"))


def test_the_page_has_problems_first_and_escapes_everything(tmp_path):
    (tmp_path / "sheets").mkdir()
    job = Job("x", "p", "x.tif", "a", "", None, "/far", str(tmp_path), 8.0, None, "error", 4, "1")
    facts = Facts(0.5, "openslide.mpp-x", 1000, 2000, 0.4, 12, False)
    good = State("x", "done", 1, source={}, facts=facts, stride=4, outputs={"sheets/x.png": "0"})
    odd = '<b>"& #%?é'
    slides = [
        (job, good),
        (replace(job, slide_id="few"), replace(good, slide_id="few", facts=replace(facts, tissue=0.001))),
        (
            replace(job, slide_id=odd),
            replace(good, outputs={f"sheets/{odd}.png": "0"}, facts=replace(facts, mpp_source="default")),
        ),
        (replace(job, slide_id="bad"), State("bad", "failed", 3, "no <slide>")),
    ]
    text = write_index(tmp_path, slides).read_text()
    page = Cards()
    page.feed(text)
    assert page.cards == [("bad", "failed"), ("few", "look"), (odd, "look"), ("x", "good")]
    assert page.images == ["%3Cb%3E%22%26%20%23%25%3F%C3%A9.png", "x.png"]
    assert "b" not in page.tags
    assert "no &lt;slide&gt;" in text
    assert "4 slides, 3 with problems" in text
    assert str(tmp_path) not in text
    assert write_index(tmp_path, [(j, replace(s, attempts=9)) for j, s in slides]).read_text() == text
