"""Parts of pictures: a slide's overview, its attention, the patches' places, a scale bar and a colour bar."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from ats_mag.model.attention_layer import attention_rgba
from ats_mag.pictures.colours import magnification_colour
from ats_mag.pictures.inspected_slide import InspectedSlide
from ats_mag.system.figure_fonts import readable

LEAST_HIGHEST = 5.0  # times uniform attention that the scale goes to at least: nearly uniform attention must not glow
_DARKEST, _LIGHTEST = 0.09, 0.38  # of the grey slide below the attention


def draw_slide(axes: Axes, inspected: InspectedSlide) -> None:
    """The overview in its own colours."""
    _show(axes, inspected, inspected.overview)


def draw_attention(axes: Axes, inspected: InspectedSlide, attention: np.ndarray, highest: float) -> None:
    """Attention `(H, W)` over the slide in dark grey, tissue lighter than glass; see `attention_rgba`."""
    grey = 1 - inspected.overview.mean(axis=-1) / 255
    tissue = grey[inspected.mask] if inspected.mask.any() else grey
    grey = np.clip(grey / max(0.2, float(np.quantile(tissue, 0.98))), 0, 1)  # pale stains are seen, too
    dark = np.repeat((_DARKEST + (_LIGHTEST - _DARKEST) * grey)[..., None], 3, axis=-1)
    _show(axes, inspected, dark)
    rows, columns = attention.shape
    stride = inspected.lattice.stride
    extent = (0, columns * stride, rows * stride, 0)
    axes.imshow(attention_rgba(attention, highest), extent=extent, interpolation="nearest", zorder=2)
    _frame(axes, inspected)


def draw_places(axes: Axes, inspected: InspectedSlide, which: np.ndarray, width: float = 1.3) -> None:
    """The outlines of patches in their true field of view, in the colour of their magnification."""
    lightest_first = which[::-1]
    for i in sorted(lightest_first, key=lambda i: -inspected.side_px[i]):  # the larger first, so that none is covered
        left, top, side = place_on_overview(inspected, i)
        colour = magnification_colour(int(inspected.index[i, 2]))
        halo = [withStroke(linewidth=width + 1.2, foreground="white", alpha=0.6)]
        outline = Rectangle((left, top), side, side, fill=False, color=colour, lw=width, path_effects=halo, zorder=3)
        axes.add_patch(outline)


def draw_scale_bar(axes: Axes, inspected: InspectedSlide, points: float) -> None:
    """A bar of a round length below the slide's left corner.

    Args:
        axes: with the slide.
        inspected: of the slide.
        points: size of an overview pixel on paper.
    """
    width, height = inspected.shown_size
    um = round_length(width * inspected.lattice.overview_mpp * 0.4)
    length = um / inspected.lattice.overview_mpp
    y = height + 7 / points
    axes.plot([0, length], [y, y], color="black", lw=2.2, solid_capstyle="butt", clip_on=False)
    label = f"{um / 1000:g} mm" if um >= 1000 else f"{um:g} um"
    axes.text(length + 5 / points, y, label, fontsize=8.5, va="center", clip_on=False)


def draw_colour_bar(axes: Axes, highest: float, scale: str = "square-root scale") -> None:
    """The scale of `draw_attention`, upright, in multiples of uniform attention; `scale` is what is said of it."""
    root = np.linspace(0, 1, 256)[::-1, None]  # of the attention
    layer = attention_rgba(root**2, 1.0).astype(float) / 255
    alpha = layer[..., 3:]
    axes.imshow(layer[..., :3] * alpha + _DARKEST * (1 - alpha), extent=(0, 1, 0, 1), aspect="auto")
    ticks = _ticks(highest)
    axes.set_yticks([math.sqrt(tick / highest) for tick in ticks], [f"{tick:g}" for tick in ticks], fontsize=8.5)
    axes.yaxis.tick_right()
    axes.yaxis.set_label_position("right")
    axes.set_xticks([])
    axes.set_ylabel(f"attention of a cell, times uniform attention\n({scale})", fontsize=8.5)


def round_length(um: float) -> float:
    """The largest 1, 2 or 5 times a power of ten that is no longer."""
    power = 10 ** math.floor(math.log10(um))
    return max(step for step in (power, 2 * power, 5 * power) if step <= um * (1 + 1e-9))


def plain(text: str, longest: int | None = None) -> str:
    """A name as it stands, not to be read as a formula, see `readable`; the middle of one that is too long is left out."""
    text = readable(text)
    if longest is not None and len(text) > longest:
        text = f"{text[: longest // 2 - 1]}…{text[len(text) - (longest - longest // 2) :]}"
    return text.replace("$", r"\$")


def _show(axes: Axes, inspected: InspectedSlide, image: np.ndarray) -> None:
    rows, columns = image.shape[:2]
    axes.imshow(image, extent=(0, columns, rows, 0), interpolation="antialiased")
    _frame(axes, inspected)


def _frame(axes: Axes, inspected: InspectedSlide) -> None:
    width, height = inspected.shown_size
    axes.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[], aspect="equal")
    for spine in axes.spines.values():
        spine.set(color="0.6", linewidth=0.6)


def place_on_overview(inspected: InspectedSlide, i: int) -> tuple[float, float, float]:
    """Left, top and side of a patch in pixels of the overview."""
    return *inspected.on_overview(inspected.location[i]), float(inspected.side_px[i] / inspected.overview_px)


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
