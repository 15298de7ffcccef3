"""One slide as a model sees it: what pictures, GeoJSON and the viewer are made of."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ats_mag.geometry.lattice import MPP_UNIT, Lattice

if TYPE_CHECKING:
    from ats_mag.model.classifier import SlideClassifier


@dataclass(frozen=True)
class SlideLook:
    """One slide, what a model looked at on it, and what came of it.

    Attributes:
        slide: the file.
        classes: names of the C classes.
        lattice: of the model.
        geometry: `(5,)` integers, see `lattice.GEOMETRY_FIELDS`.
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
    def mpp(self) -> float:
        """um/px of level 0."""
        return float(self.geometry[4] * MPP_UNIT)

    @property
    def cell_px(self) -> float:
        """Side of a cell in level-0 pixels; cell (row, column) begins at ``(column, row) * cell_px + geometry[:2]``."""
        return self.lattice.cell_um / self.mpp

    @property
    def side_px(self) -> np.ndarray:
        """`(N,)` sides of the patches' fields of view in level-0 pixels."""
        return self.lattice.patch_size * self.downsample


def look_at(
    model: SlideClassifier,
    slide: str | os.PathLike[str],
    slide_mpp: float | None = None,
    method: str | None = None,
    n_patches: int | None = None,
) -> SlideLook:
    """Lets a model look at one slide.

    Args:
        model: the model.
        slide: the file.
        slide_mpp: um/px of level 0. None: the file's own.
        method, n_patches: see `inspection.inspect`.

    Raises:
        FileNotFoundError, SlideError, ValueError: the slide cannot be read, has no known resolution or no tissue.
    """
    from ats_mag.prediction.slide_inputs import slide_inputs
    from ats_mag.slides.errors import plain_errors

    path = os.fspath(slide)
    with plain_errors():
        mpp = float("nan") if slide_mpp is None else slide_mpp
        inputs = slide_inputs([path], model.lattice.overview_mpp, model.overview_multiple, mpp)
        seen = model.inspect(inputs, method=method, n_patches=n_patches)
    rows, columns = _lattice_of(inputs["geometry"][0], seen.attention[0], model.lattice)
    height, width = rows * model.lattice.stride, columns * model.lattice.stride
    there = (seen.index[0, :, :2] < (rows, columns)).all(axis=1)  # a small slide's surplus draws may lie in the padding
    same = ("index", "location", "downsample", "weight", "patches", "contribution")
    return SlideLook(
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
    sides = geometry[3:1:-1] * MPP_UNIT * geometry[4]
    last = np.argwhere(attention.any(axis=2)).max(axis=0) + 1
    rows, columns = np.minimum(np.maximum(np.ceil(sides / lattice.cell_um), last), attention.shape[:2]).astype(int)
    return int(rows), int(columns)
