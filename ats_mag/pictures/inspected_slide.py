"""One slide as a model sees it: what pictures, GeoJSON and the viewer are made of."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ats_mag.geometry.lattice import Lattice
from ats_mag.geometry.slide_geometry import slide_mpp
from ats_mag.slides.paths import printable
from ats_mag.system.short_repr import ShortRepr

if TYPE_CHECKING:
    from ats_mag.model.classifier import SlideClassifier


@dataclass(frozen=True, repr=False)
class InspectedSlide(ShortRepr):
    """One slide, what a model looked at on it, and what came of it.

    Attributes:
        slide: the file.
        classes: names of the C classes.
        lattice: of the model.
        geometry: `(5,)` integers, see `slide_geometry.GEOMETRY_FIELDS`.
        overview: `(h, w, 3)` uint8, padded to whole cells.
        mask: `(h, w)` bool, the tissue.
        probabilities: `(C,)`, one per class for `binary`, too.
        attention: `(H, W, M)`, sum 1.
        index: `(N, 3)` (row, column, magnification) of each patch.
        location: `(N, 2)` (x, y) of its top-left corner, level-0 pixels.
        downsample: `(N,)` level-0 pixels per patch pixel.
        weight: `(N,)` of each patch in the expectation.
        patches: `(N, P, P, 3)` uint8.
        contribution: `(N, C)`, see `Inspection`; `(N, 1)` for `binary`.
    """

    slide: str
    classes: list[str]
    lattice: Lattice
    geometry: np.ndarray
    overview: np.ndarray
    mask: np.ndarray
    probabilities: np.ndarray
    attention: np.ndarray
    index: np.ndarray
    location: np.ndarray
    downsample: np.ndarray
    weight: np.ndarray
    patches: np.ndarray
    contribution: np.ndarray

    @property
    def name(self) -> str:
        """The file's name without its folder, as it can be shown: bytes that are no UTF-8 are escapes."""
        return printable(os.path.basename(self.slide))

    @property
    def mpp(self) -> float:
        """um/px of level 0."""
        return float(slide_mpp(self.geometry))

    @property
    def cell_px(self) -> float:
        """Side of a cell in level-0 pixels; cell (row, column) begins at ``(column, row) * cell_px + origin``."""
        return self.lattice.cell_px(self.mpp)

    @property
    def overview_px(self) -> float:
        """Side of an overview pixel in level-0 pixels."""
        return self.lattice.overview_px(self.mpp)

    @property
    def origin(self) -> np.ndarray:
        """`(2,)` (x, y) of the top-left corner of the slide's bounds, level-0 pixels; overview and lattice begin there."""
        return self.geometry[:2]

    @property
    def shown_size(self) -> tuple[float, float]:
        """Width and height of the slide's bounds in overview pixels, without the overview's padding."""
        width, height = self.geometry[2:4] / self.overview_px
        return float(width), float(height)

    @property
    def relative_attention(self) -> np.ndarray:
        """`(H, W, M)` attention in multiples of what it would be if it were uniform over all places that have any."""
        return self.attention * np.count_nonzero(self.attention)

    def on_overview(self, point: Sequence[float] | np.ndarray) -> tuple[float, float]:
        """A place (x, y) in level-0 pixels, in pixels of the overview."""
        x, y = (np.asarray(point) - self.origin) / self.overview_px
        return float(x), float(y)

    @property
    def side_px(self) -> np.ndarray:
        """`(N,)` sides of the patches' fields of view in level-0 pixels."""
        return self.lattice.patch_size * self.downsample


def inspect_slide(
    model: SlideClassifier,
    slide: str | os.PathLike[str],
    slide_mpp: float | None = None,
    method: str | None = None,
    n_patches: int | None = None,
    tissue_mask: str | None = None,
) -> InspectedSlide:
    """Lets a model look at one slide.

    Args:
        model: the model.
        slide: the file.
        slide_mpp: um/px of level 0. None: the file's own.
        method, n_patches: see `inspection.inspect`.
        tissue_mask: file in which somebody drew its tissue, see `slides.own_mask`. None: it is found.

    Raises:
        FileNotFoundError, SlideError, ValueError: the slide cannot be read, has no known resolution or no tissue.
    """
    from ats_mag.model.slide_inputs import slide_inputs
    from ats_mag.slides.errors import plain_errors

    path = os.fspath(slide)
    with plain_errors():
        mpp = float("nan") if slide_mpp is None else slide_mpp
        inputs = slide_inputs(
            [path],
            model.lattice.overview_mpp,
            model.overview_multiple,
            mpp,
            tissue=model.tissue,
            masks=[tissue_mask],
        )
        seen = model.inspect(inputs, method=method, n_patches=n_patches)
    rows, columns = _lattice_of(inputs["geometry"][0], seen.attention[0], model.lattice)
    height, width = rows * model.lattice.stride, columns * model.lattice.stride
    there = (seen.index[0, :, :2] < (rows, columns)).all(axis=1)  # a small slide's surplus draws may lie in the padding
    same = ("index", "location", "downsample", "weight", "patches", "contribution")
    return InspectedSlide(
        slide=path,
        classes=list(model.classes),  # Keras makes another kind of list of it, which does not travel
        lattice=model.lattice,
        geometry=inputs["geometry"][0],
        overview=inputs["overview"][0, :height, :width],
        mask=inputs["mask"][0, :height, :width].astype(bool),
        probabilities=model.head_kind.class_probabilities(seen.probabilities)[0],
        attention=seen.attention[0, :rows, :columns],
        **{name: getattr(seen, name)[0][there] for name in same},
    )


def _lattice_of(geometry: np.ndarray, attention: np.ndarray, lattice: Lattice) -> tuple[int, int]:
    """Rows and columns of the cells that a slide itself has, without what pads its overview."""
    last = np.argwhere(attention.any(axis=2)).max(axis=0) + 1
    rows, columns = np.minimum(np.maximum(lattice.shape(geometry), last), attention.shape[:2])
    return int(rows), int(columns)
