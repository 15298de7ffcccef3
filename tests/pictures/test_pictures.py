"""Pictures for every shape of slide: readable, to scale, and whole."""

import dataclasses

import matplotlib.image
import numpy as np
import pytest
from made_inspected import invent_inspected
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle

from ats_mag.model.attention_layer import attention_rgba
from ats_mag.pictures.attention_picture import draw_attention_picture
from ats_mag.pictures.colours import MAGNIFICATION_COLOURS, colour_scale, magnification_colour, rgb
from ats_mag.pictures.heaviest_patches import heaviest_first
from ats_mag.pictures.panels import (
    LEAST_HIGHEST,
    draw_attention,
    draw_colour_bar,
    draw_places,
    plain,
    round_length,
)
from ats_mag.pictures.patch_numbers import draw_numbers
from ats_mag.pictures.patch_sheet import draw_patch_sheet

pytestmark = pytest.mark.filterwarnings("ignore:Glyph")  # of measuring texts; the pictures themselves warn of none

SHAPES = {
    "wide": invent_inspected(1600, 120, name="名前.svs"),
    "tall": invent_inspected(80, 900, (0.25, 0.5, 1.0, 2.0), 40),
    "tiny": invent_inspected(24, 16, (0.5,), 3, patch=64),
    "many": invent_inspected(
        600, 500, (0.5, 1.0, 2.0), 200, [f"class {c} $x$ a long name" for c in "abcdef"], name="名" * 90
    ),
}


@pytest.fixture(params=SHAPES)
def shape(request):
    return SHAPES[request.param]


def drawn(monkeypatch, draw, inspected, path):
    """The figure that is written, and the texts on it with their boxes in pixels."""
    kept = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda figure, *a, **k: (kept.append(figure), save(figure, *a, **k))[1])
    draw(inspected, path)
    (figure,) = kept
    renderer = figure._get_renderer()
    texts = [*figure.texts, *(text for axes in figure.axes for text in axes.texts)]
    return figure, {text: text.get_window_extent(renderer) for text in texts if text.get_text()}


@pytest.mark.parametrize("draw", [draw_attention_picture, draw_patch_sheet])
def test_texts_lie_inside_and_do_not_overlap(monkeypatch, tmp_path, shape, draw):
    figure, texts = drawn(monkeypatch, draw, shape, tmp_path / "p.png")
    page = figure.bbox
    assert len(texts) > 3
    for text, box in texts.items():
        name = text.get_text()
        assert box.x0 >= page.x0, name
        assert box.x1 <= page.x1, name
        assert box.y0 >= page.y0, name
        assert box.y1 <= page.y1, name
        assert text.get_fontsize() >= 7.5
    boxes = [(text.get_text(), box.shrunk(0.9, 0.75)) for text, box in texts.items()]
    for k, (one, box) in enumerate(boxes):
        for other, its in boxes[:k]:
            assert not box.overlaps(its), (one, other)
    height, width = matplotlib.image.imread(tmp_path / "p.png").shape[:2]
    assert 500 < width < 3500
    assert 300 < height < 3500
    assert [path.name for path in tmp_path.iterdir()] == ["p.png"]


def test_panels_keep_the_slides_aspect(monkeypatch, tmp_path, shape):
    figure, _ = drawn(monkeypatch, draw_attention_picture, shape, tmp_path / "p.png")
    *panels, bar = figure.axes
    n = len(shape.lattice.magnifications)
    assert len(panels) == 1 + n + (n > 1)
    for axes in panels:
        box = axes.get_window_extent()
        assert box.width / box.height == pytest.approx(shape.geometry[2] / shape.geometry[3], rel=0.01)
    assert "square-root scale" in bar.get_ylabel()


def test_outlines_are_the_fields_of_view_where_they_lie(shape):
    axes = Figure().add_subplot()
    which = heaviest_first(shape)
    draw_places(axes, shape, which)
    sides = [patch.get_width() for patch in axes.patches]
    assert sides == sorted(sides, reverse=True)
    found = {(*np.round(patch.get_xy(), 3), round(patch.get_width(), 3)) for patch in axes.patches}
    um = shape.lattice.overview_mpp
    expected = set()
    for i in which:
        corner = (shape.location[i] - shape.geometry[:2]) * shape.mpp / um
        expected.add((*np.round(corner, 3), round(shape.lattice.field_of_view_um(shape.index[i, 2]) / um, 3)))
    assert found == expected
    assert all(isinstance(patch, Rectangle) for patch in axes.patches)


def test_numbers_do_not_overlap_and_small_fields_have_rings():
    inspected = invent_inspected(1500, 1200, (0.5, 2.0), 24)
    figure = Figure(figsize=(6, 4.8), dpi=72)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 1500), ylim=(1200, 0))
    draw_numbers(axes, inspected, 72 * 6 / 1500)
    numbers = [int(text.get_text()) for text in axes.texts]
    assert numbers == sorted(numbers)
    assert numbers[0] == 1
    assert len(numbers) >= 12
    assert any(isinstance(patch, Circle) for patch in axes.patches)
    boxes = [text.get_window_extent(figure._get_renderer()).shrunk(0.9, 0.75) for text in axes.texts]
    assert not any(one.overlaps(other) for k, one in enumerate(boxes) for other in boxes[:k])


def test_attention_lies_over_its_cells_and_nowhere_else():
    inspected = invent_inspected(160, 96, (0.5,), 3)
    figure = Figure(figsize=(1.6, 0.96), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))
    attention = np.zeros_like(inspected.attention[..., 0])
    attention[3, 5] = 0.5
    draw_attention(axes, inspected, attention, 0.5)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image = np.asarray(canvas.buffer_rgba())[..., :3].astype(int)
    bright = np.argwhere(image.min(-1) > 150)
    assert bright.min(0) == pytest.approx((24, 40), abs=1)
    assert bright.max(0) == pytest.approx((31, 47), abs=1)


def test_the_colour_bar_has_round_ticks_up_to_the_end():
    for highest in (5.0, 45.7, 31000.0, 1.0):
        axes = Figure().add_subplot()
        draw_colour_bar(axes, highest)
        labels = [float(tick.get_text()) for tick in axes.get_yticklabels()]
        assert labels[0] == 0
        assert labels[-1] > 0.75 * highest
        assert len(labels) >= 4
        for at, label in zip(axes.get_yticks(), labels, strict=True):
            assert at**2 * highest == pytest.approx(label, rel=0.03)


def test_attention_is_drawn_in_multiples_of_uniform(monkeypatch, tmp_path):
    inspected = invent_inspected(160, 96, (0.5, 1.0), 3)
    there = inspected.attention > 0
    even = dataclasses.replace(inspected, attention=there / there.sum())
    np.testing.assert_allclose(even.relative_attention[there], 1)
    np.testing.assert_allclose(inspected.relative_attention[there].mean(), 1)
    ends = {}
    for name, one in (("even", even), ("peaked", inspected)):
        figure, _ = drawn(monkeypatch, draw_attention_picture, one, tmp_path / f"{name}.png")
        *panels, bar = figure.axes
        ends[name] = max(float(tick.get_text()) for tick in bar.get_yticklabels())
        assert "times uniform attention" in bar.get_ylabel()
        opacity = [axes.images[1].get_array()[..., 3].max() / 255 for axes in panels[1:]]
        highest = max(LEAST_HIGHEST, one.relative_attention.max())
        expected = [one.relative_attention[..., m].max() for m in range(2)]
        expected.append(one.relative_attention.mean(axis=-1).max())
        np.testing.assert_allclose(opacity, np.sqrt(np.array(expected) / highest), atol=0.01)
    assert ends["even"] == LEAST_HIGHEST  # where nothing was learnt, nothing glows
    assert ends["peaked"] > 20


def test_lengths_and_names():
    assert [round_length(um) for um in (0.7, 1, 19, 20, 999, 12345)] == [0.5, 1, 10, 20, 500, 10000]
    assert plain("a$b") == r"a\$b"
    assert plain("0123456789", 6) == "01…789"
    assert len(plain("x" * 90, 31)) == 31


def test_colours():
    assert len(set(MAGNIFICATION_COLOURS)) == len(MAGNIFICATION_COLOURS)
    assert magnification_colour(len(MAGNIFICATION_COLOURS)) == magnification_colour(0)
    assert rgb("#0a00ff") == (10, 0, 255)
    lightness = [sum(rgb(colour)) for colour in colour_scale(9)]
    assert lightness == sorted(lightness)
    layer = attention_rgba(np.array([[0, 0.25, 1.0]]))
    assert layer[0, :, 3].tolist() == [0, 128, 255]
    assert attention_rgba(np.zeros((2, 2)))[..., 3].max() == 0
