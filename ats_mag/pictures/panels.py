"""Parts of pictures: a slide's overview, its attention, the patches' places, a scale bar and a colour bar."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle, Rectangle
from matplotlib.patheffects import withStroke

from ats_mag.model.attention_layer import attention_rgba
from ats_mag.pictures.colours import magnification_colour
from ats_mag.pictures.look import SlideLook
from ats_mag.pictures.patches import looked_at

_Box = tuple[float, float, float, float]  # left, top, right, bottom; points

_HALO = [withStroke(linewidth=2.4, foreground="white", alpha=0.85)]
NUMBERED = 30  # patches that get a number, the heaviest
_NUMBER_SIZE = 7.5  # points
_SMALL = 9.0  # points; a field of view that is drawn smaller gets a ring to be found by
_DARKEST, _LIGHTEST = 0.09, 0.38  # of the grey slide below the attention


def shown_size(look: SlideLook) -> tuple[float, float]:
    """Width and height of the slide's bounds in pixels of the overview, without its padding."""
    scale = look.mpp / look.lattice.overview_mpp
    return float(look.geometry[2]) * scale, float(look.geometry[3]) * scale


def draw_slide(axes: Axes, look: SlideLook) -> None:
    """The overview in its own colours."""
    _show(axes, look, look.overview)


def draw_attention(axes: Axes, look: SlideLook, attention: np.ndarray, highest: float) -> None:
    """Attention `(H, W)` over the slide in dark grey, tissue lighter than glass; see `attention_rgba`."""
    grey = 1 - look.overview.mean(axis=-1) / 255
    tissue = grey[look.mask] if look.mask.any() else grey
    grey = np.clip(grey / max(0.2, float(np.quantile(tissue, 0.98))), 0, 1)  # pale stains are seen, too
    dark = np.repeat((_DARKEST + (_LIGHTEST - _DARKEST) * grey)[..., None], 3, axis=-1)
    _show(axes, look, dark)
    rows, columns = attention.shape
    stride = look.lattice.stride
    extent = (0, columns * stride, rows * stride, 0)
    axes.imshow(attention_rgba(attention, highest), extent=extent, interpolation="nearest", zorder=2)
    _frame(axes, look)


def draw_places(axes: Axes, look: SlideLook, which: np.ndarray, width: float = 1.3) -> None:
    """The outlines of patches in their true field of view, in the colour of their magnification."""
    lightest_first = which[::-1]
    for i in sorted(lightest_first, key=lambda i: -look.side_px[i]):  # the larger first, so that none is covered
        left, top, side = _place(look, i)
        colour = magnification_colour(int(look.index[i, 2]))
        halo = [withStroke(linewidth=width + 1.2, foreground="white", alpha=0.6)]
        outline = Rectangle((left, top), side, side, fill=False, color=colour, lw=width, path_effects=halo, zorder=3)
        axes.add_patch(outline)


def draw_numbers(axes: Axes, look: SlideLook, points: float, most: int = NUMBERED) -> None:
    """Numbers of the patches beside their outlines, the heaviest first; where there is no room, none.

    Args:
        axes: with the outlines.
        look: of the slide.
        points: size of an overview pixel on paper.
        most: patches that may get a number.
    """
    width, height = (side * points for side in shown_size(look))
    shown = looked_at(look)
    fields = [_ringed(*(value * points for value in _place(look, i))) for i in shown]
    numbers: list[_Box] = []
    for number, (i, field) in enumerate(zip(shown[:most], fields, strict=False), start=1):
        w, h = 0.66 * _NUMBER_SIZE * len(str(number)), 0.95 * _NUMBER_SIZE
        places = [box for box in _beside(field, w, h) if _within(box, width, height)]
        places = [box for box in places if not any(_overlap(box, other) for other in numbers)]
        free = [box for box in places if not any(_overlap(box, other) for other in fields)]
        if not (free or places):
            continue
        left, top, right, below = box = (free or places)[0]
        numbers.append(box)
        colour = magnification_colour(int(look.index[i, 2]))
        middle = (field[0] + field[2]) / 2 / points, (field[1] + field[3]) / 2 / points
        if field[2] - field[0] > look.side_px[i] * look.mpp / look.lattice.overview_mpp * points + 1:
            radius = (field[2] - field[0]) / 2 / points
            axes.add_patch(Circle(middle, radius, fill=False, color=colour, lw=0.8, alpha=0.9, zorder=3))
        at = ((left + right) / 2 / points, (top + below) / 2 / points)
        if not _overlap(box, _wider(field, 1.5 * _NUMBER_SIZE)):  # it stands off
            nearest = tuple(
                np.clip(a, lo / points, hi / points) for a, lo, hi in zip(at, field[:2], field[2:], strict=True)
            )
            axes.plot(*zip(nearest, at, strict=True), color=colour, lw=0.7, zorder=3.5)
        style: dict[str, Any] = {"fontsize": _NUMBER_SIZE, "color": colour, "weight": "bold", "zorder": 4}
        axes.text(*at, str(number), ha="center", va="center", path_effects=_HALO, **style)


def draw_scale_bar(axes: Axes, look: SlideLook, points: float) -> None:
    """A bar of a round length below the slide's left corner.

    Args:
        axes: with the slide.
        look: of the slide.
        points: size of an overview pixel on paper.
    """
    width, height = shown_size(look)
    um = round_length(width * look.lattice.overview_mpp * 0.4)
    length = um / look.lattice.overview_mpp
    y = height + 7 / points
    axes.plot([0, length], [y, y], color="black", lw=2.2, solid_capstyle="butt", clip_on=False)
    label = f"{um / 1000:g} mm" if um >= 1000 else f"{um:g} um"
    axes.text(length + 5 / points, y, label, fontsize=8.5, va="center", clip_on=False)


def draw_colour_bar(axes: Axes, highest: float, scale: str = "square-root scale") -> None:
    """The scale of `draw_attention`, upright, in percent of the slide's attention; `scale` is what is said of it."""
    level = np.linspace(0, 1, 256)[::-1, None]  # of the square root
    layer = attention_rgba(level**2, 1.0).astype(float) / 255
    alpha = layer[..., 3:]
    axes.imshow(layer[..., :3] * alpha + _DARKEST * (1 - alpha), extent=(0, 1, 0, 1), aspect="auto")
    ticks = _ticks(100 * highest)
    axes.set_yticks([math.sqrt(tick / 100 / highest) for tick in ticks], [f"{tick:g}" for tick in ticks], fontsize=8.5)
    axes.yaxis.tick_right()
    axes.yaxis.set_label_position("right")
    axes.set_xticks([])
    axes.set_ylabel(f"attention of a cell, % of the slide's\n({scale})", fontsize=8.5)


def round_length(um: float) -> float:
    """The largest 1, 2 or 5 times a power of ten that is no longer."""
    power = 10 ** math.floor(math.log10(um))
    return max(step for step in (power, 2 * power, 5 * power) if step <= um * (1 + 1e-9))


def plain(text: str, longest: int | None = None) -> str:
    """A name as it stands, not to be read as a formula; the middle of one that is too long is left out."""
    if longest is not None and len(text) > longest:
        text = f"{text[: longest // 2 - 1]}…{text[len(text) - (longest - longest // 2) :]}"
    return text.replace("$", r"\$")


def _show(axes: Axes, look: SlideLook, image: np.ndarray) -> None:
    rows, columns = image.shape[:2]
    axes.imshow(image, extent=(0, columns, rows, 0), interpolation="antialiased")
    _frame(axes, look)


def _frame(axes: Axes, look: SlideLook) -> None:
    width, height = shown_size(look)
    axes.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[], aspect="equal")
    for spine in axes.spines.values():
        spine.set(color="0.6", linewidth=0.6)


def _place(look: SlideLook, i: int) -> tuple[float, float, float]:
    """Left, top and side of a patch in pixels of the overview."""
    scale = look.mpp / look.lattice.overview_mpp
    left, top = (look.location[i] - look.geometry[:2]) * scale
    return float(left), float(top), float(look.side_px[i] * scale)


def _ringed(left: float, top: float, side: float) -> _Box:
    """The field of view, or what the ring around it takes where it is too small to be found."""
    more = max(0.0, 1.5 * _SMALL - side) / 2 if side < _SMALL else 0.0
    return _wider((left, top, left + side, top + side), more)


def _beside(field: _Box, w: float, h: float) -> list[_Box]:
    """Places for a text of a size around a field, the nearer first."""
    left, top, right, below = field
    places = []
    for gap in (2.0, 9.0, 18.0):
        across = (right + gap, left - gap - w, (left + right - w) / 2)
        down = (top - gap - h, below + gap, top, (top + below - h) / 2)
        corners = [(across[0], down[2]), (across[1], down[2]), (across[2], down[0]), (across[2], down[1])]
        corners += [(across[0], down[0]), (across[1], down[0]), (across[0], down[1]), (across[1], down[1])]
        places += [(x, y, x + w, y + h) for x, y in corners]
    return places


def _within(box: _Box, width: float, height: float) -> bool:
    return box[0] >= 0 and box[1] >= 0 and box[2] <= width and box[3] <= height


def _wider(box: _Box, more: float) -> _Box:
    return box[0] - more, box[1] - more, box[2] + more, box[3] + more


def _overlap(a: _Box, b: _Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _ticks(highest: float) -> list[float]:
    """Round numbers up to a highest one, apart on the square-root scale."""
    power = math.floor(math.log10(highest))
    known = [step * 10.0**p for p in range(power - 2, power + 1) for step in (1, 2, 5)]
    ticks: list[float] = []
    for tick in sorted((k for k in known if k <= highest), reverse=True):
        if not ticks or math.sqrt(ticks[-1] / highest) - math.sqrt(tick / highest) > 0.13:
            ticks.append(float(f"{tick:.3g}"))
    if math.sqrt(ticks[0] / highest) < 0.87:
        ticks.insert(0, float(f"{highest:.2g}"))
    return [0.0, *reversed([tick for tick in ticks if math.sqrt(tick / highest) > 0.1])]
