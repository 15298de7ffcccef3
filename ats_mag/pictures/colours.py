"""The colours of pictures, GeoJSON and pages: one per magnification, and a scale for attention."""

from __future__ import annotations

import numpy as np

from ats_mag.model.attention_layer import ATTENTION_MAP

# Dark enough for glass, unlike haematoxylin and eosin, and apart for the colour-blind: the order is that of the model's
# magnifications. After Okabe and Ito, "Color Universal Design" (2008), but strong enough for text and thin lines.
MAGNIFICATION_COLOURS = ("#e66100", "#0072b2", "#009e73", "#b5268c", "#56b4e9", "#202020")


def magnification_colour(magnification: int) -> str:
    """The colour of the magnification of an index, `#rrggbb`; after the last they begin anew."""
    return MAGNIFICATION_COLOURS[magnification % len(MAGNIFICATION_COLOURS)]


def rgb(colour: str) -> tuple[int, int, int]:
    """`#rrggbb` as three numbers of 0 to 255."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def colour_scale(steps: int) -> list[str]:
    """So many colours, `#rrggbb`, from little to much attention."""
    import matplotlib

    shades = matplotlib.colormaps[ATTENTION_MAP](np.linspace(0, 1, steps), bytes=True)
    return ["#{:02x}{:02x}{:02x}".format(*shade[:3]) for shade in shades]
