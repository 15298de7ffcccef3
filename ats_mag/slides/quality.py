"""What had better be looked at before a slide is trusted: ink, blur, no glass, fluorescence, little tissue."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ats_mag.geometry.slide_geometry import slide_mpp

if TYPE_CHECKING:
    from ats_mag.slides.overview import Overview
    from ats_mag.slides.tissue_options import TissueOptions

LEAST_SHARE = 0.01  # of the overview's pixels on tissue
# Shares of the overview.
_INK = 0.001
_RED = 0.005  # a vessel full of blood is smaller
_DARK = 0.005
_GLASS = 0.01
# `skimage.measure.blur_effect` of patches at 0.5 um/px: 0.24 to 0.39 on sharp sections of three scanners, 0.59 and more on the same
# after a Gaussian blur of 3 pixels.
_BLURRED = 0.55
_PROBE_MPP = 0.5
_PROBES = 6
_PROBE_SIDE = 256  # pixels


@dataclass(frozen=True)
class Quality:
    """Measures of a slide; shares are of the overview's pixels.

    Attributes:
        tissue: that are tissue.
        glass: that look like glass.
        ink: that have the colour of ink, but for red.
        red: of red ink, or pools of blood.
        dark: that are dark and grey.
        fluorescence: whether the overview is dark, with what shines.
        blur: 0 sharp to 1, at 0.5 um/px or the slide's own, the median of some places of tissue; None: there was none to read.
        own_mask: whether somebody drew the tissue.
    """

    tissue: float
    glass: float
    ink: float
    red: float
    dark: float
    fluorescence: bool
    blur: float | None
    own_mask: bool = False

    def flags(self, least_share: float = LEAST_SHARE) -> dict[str, str]:
        """What is unusual, by kind, a sentence each.

        Args:
            least_share: of tissue, below which there is little.
        """
        left_out = "" if self.own_mask else "; it is left out, if `prepare.tissue.ink` does not keep it"
        found = {
            "fluorescence": self.fluorescence
            and "the overview is dark: a fluorescence slide, of which what shines is taken for tissue",
            "ink": self.ink >= _INK and f"{self.ink:.1%} of the overview has the colour of ink{left_out}",
            "red ink or blood": self.red >= _RED
            and f"{self.red:.1%} of the overview is red ink or pools of blood{left_out}",
            "dark areas": self.dark >= _DARK
            and f"{self.dark:.1%} of the overview is black or dark grey: black ink, folds or the edge of the slide",
            "no glass": not self.fluorescence
            and self.glass < _GLASS
            and "no glass is seen beside the tissue: a field or a region, or glass of an unusual colour",
            "little tissue": 0 < self.tissue < least_share and f"tissue covers {self.tissue:.2%} of the slide only",
            "blur": self.blur is not None
            and self.blur > _BLURRED
            and f"the tissue is out of focus or without detail (blur {self.blur:.2f}, of sharp sections under 0.4)",
        }
        return {kind: text for kind, text in found.items() if text}


def assess(
    path: str | os.PathLike[str], view: Overview, overview_mpp: float, tissue: TissueOptions, own: bool
) -> Quality:
    """Measures a slide; reads a few patches of it.

    Args:
        path: the slide.
        view: of it, NumPy arrays.
        overview_mpp: um/px of the view.
        tissue: how tissue was found.
        own: whether somebody drew the view's mask.
    """
    from ats_mag.slides.numpy_tissue import findings

    seen = findings(view.image, tissue)
    share = {name: round(float(np.mean(getattr(seen, name))), 6) for name in ("glass", "ink", "red", "dark")}
    return Quality(
        tissue=round(float(np.mean(view.mask)), 6),
        **share,
        fluorescence=bool(seen.fluorescence),
        blur=_blur(path, view, overview_mpp),
        own_mask=own,
    )


def _blur(path: str | os.PathLike[str], view: Overview, overview_mpp: float) -> float | None:
    from skimage.measure import blur_effect

    from ats_mag.slides import numpy_reader
    from ats_mag.slides.paths import encode_paths

    places = np.argwhere(view.mask)
    if not len(places):
        return None
    mpp = float(slide_mpp(view.geometry))
    downsample = max(1.0, _PROBE_MPP / mpp)
    side = int(min(_PROBE_SIDE, *(np.asarray(view.geometry[2:4]) / downsample)))
    if side < 32:
        return None
    # In from the first and the last, which lie on the border.
    chosen = places[np.linspace(0, len(places) - 1, _PROBES + 2)[1:-1].astype(int)]
    centres = view.geometry[:2] + (chosen[:, ::-1] + 0.5) * overview_mpp / mpp
    corners = np.floor(centres - side * downsample / 2 + 0.5).astype(np.int64)[None]
    corners = np.clip(corners, view.geometry[:2], view.geometry[:2] + view.geometry[2:4] - int(side * downsample))
    patches, valid = numpy_reader.read_patches(
        encode_paths([os.fspath(path)]), corners, np.full((1, len(chosen)), downsample), (side, side), "fill"
    )
    grey = patches[0][valid[0]].mean(axis=-1) / 255
    found = [float(blur_effect(patch)) for patch in grey if np.ptp(patch) > 0]
    return round(float(np.median(found)), 3) if found else None
