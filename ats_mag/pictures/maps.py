"""What a model looked at as arrays, with the transforms to the slide's level-0 pixels."""

from __future__ import annotations

import os

import numpy as np

from ats_mag.pictures.heaviest_patches import heaviest_first, patch_attention, score_names
from ats_mag.pictures.inspected_slide import InspectedSlide
from ats_mag.system.atomic_files import whole_file


def write_maps(inspected: InspectedSlide, path: str | os.PathLike[str]) -> None:
    """Writes `slide_maps` as a compressed `.npz`, without pickled objects."""
    with whole_file(path) as unfinished, open(unfinished, "wb") as file:
        np.savez_compressed(file, allow_pickle=False, **slide_maps(inspected))


def slide_maps(inspected: InspectedSlide) -> dict[str, np.ndarray]:
    """The arrays, by name.

    Transforms are 3 x 3 matrices for columns `(column, row, 1)`: `transform @ (column, row, 1)` is `(x, y, 1)` in level-0
    pixels as OpenSlide counts them. Whole numbers are top-left corners, so a cell's centre is at `(column + 0.5, row +
    0.5)`. The first two rows are what `affine.Affine` and rasterio take, all three what `skimage.transform` takes.

    Returns:
        - `attention` `(H, W, M)` float32, sum 1; `attention_to_level0` its transform; `magnifications` `(M,)` um/px.
        - `overview` `(h, w, 3)` uint8 and `tissue` `(h, w)` bool; `overview_to_level0` the transform of both.
        - The N patches, the heaviest first: `patch_cell` `(N, 3)` (row, column, magnification), `patch_box` `(N, 4)` (x, y,
          width, height) in level-0 pixels, `patch_attention` `(N,)`, `patch_weight` `(N,)`, `patch_contribution` `(N, S)` to
          the scores of `score_classes` `(S,)`, `patches` `(N, P, P, 3)` uint8.
        - `classes` `(C,)`, `probabilities` `(C,)`, `slide`, `um_per_px` of level 0, `bounds` `(4,)` (x, y, width, height)
          of the scanned area in level-0 pixels.
    """
    shown = heaviest_first(inspected)
    side = inspected.side_px[shown, None]
    return {
        "attention": inspected.attention.astype("float32"),
        "attention_to_level0": _transform(inspected, inspected.cell_px),
        "magnifications": np.array(inspected.lattice.magnifications),
        "overview": inspected.overview,
        "tissue": inspected.mask,
        "overview_to_level0": _transform(inspected, inspected.overview_px),
        "patch_cell": inspected.index[shown],
        "patch_box": np.concatenate([inspected.location[shown], side, side], axis=1).astype(float),
        "patch_attention": patch_attention(inspected)[shown],
        "patch_weight": inspected.weight[shown],
        "patch_contribution": inspected.contribution[shown],
        "score_classes": np.array(score_names(inspected), dtype=str),
        "patches": inspected.patches[shown],
        "classes": np.array(inspected.classes, dtype=str),
        "probabilities": inspected.probabilities,
        "slide": np.array(inspected.name, dtype=str),
        "um_per_px": np.array(inspected.mpp),
        "bounds": inspected.geometry[:4],
    }


def _transform(inspected: InspectedSlide, step: float) -> np.ndarray:
    x, y = (float(value) for value in inspected.origin)
    return np.array([[step, 0, x], [0, step, y], [0, 0, 1]])
