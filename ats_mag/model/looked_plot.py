"""A picture of what a model looked at, for a notebook; `ats-mag explain` draws larger ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ats_mag.model.attention_layer import attention_rgba, lay_over

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SHOWN = 6  # patches of a magnification
_SIDE = 3.2  # inches of an overview


def plot_inspection(looked: Any, slide: int = 0) -> Figure:
    """Draws a slide's overview, its attention at each magnification, and below these the patches of most weight.

    Args:
        looked: an `Inspection`.
        slide: its number in the batch.

    Raises:
        IndexError: the batch has no such slide.
    """
    from matplotlib.figure import Figure

    if not -len(looked.overview) <= slide < len(looked.overview):
        raise IndexError(f"the batch has {len(looked.overview)} slide(s). Received: slide={slide}")
    overview, attention = looked.overview[slide], looked.attention[slide]
    kinds = len(looked.magnifications)
    figure = Figure(figsize=(_SIDE * (1 + kinds), _SIDE * 1.7), layout="constrained")
    grid = figure.add_gridspec(2, 1 + kinds, height_ratios=(3, 2))
    axes = figure.add_subplot(grid[0, 0])
    axes.imshow(overview)
    axes.set_title("overview")
    axes.axis("off")
    highest = float(attention.max())
    for m, mpp in enumerate(looked.magnifications):
        axes = figure.add_subplot(grid[0, 1 + m])
        axes.imshow(lay_over(overview, attention_rgba(attention[..., m], highest)))
        axes.set_title(f"{mpp:g} um/px: {attention[..., m].sum():.0%} of the attention", fontsize=9)
        axes.axis("off")
        here = np.flatnonzero((looked.index[slide, :, 2] == m) & looked.valid[slide])
        here = here[np.argsort(-looked.weight[slide, here], kind="stable")][:_SHOWN]
        if len(here):
            rows = grid[1, 1 + m].subgridspec(2, _SHOWN // 2)
            for place, patch in enumerate(here):
                axes = figure.add_subplot(rows[divmod(place, _SHOWN // 2)])
                axes.imshow(looked.patches[slide, patch])
                axes.set_title(f"{looked.weight[slide, patch]:.3g}", fontsize=7, pad=2)
                axes.axis("off")
    scores = looked.probabilities[slide]
    listed = ", ".join(f"{name} {p:.3f}" for name, p in zip(looked.classes, scores, strict=True))
    figure.suptitle(listed if len(listed) < 90 else f"{looked.classes[int(scores.argmax())]} {scores.max():.3f}")
    return figure
