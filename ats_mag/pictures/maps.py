"""What a model looked at as arrays, with the transforms to the slide's level-0 pixels."""

from __future__ import annotations

import os

import numpy as np

from ats_mag.pictures.look import SlideLook
from ats_mag.pictures.patches import looked_at, patch_attention, score_names
from ats_mag.system.whole_file import whole_file


def write_maps(look: SlideLook, path: str | os.PathLike[str]) -> None:
    """Writes `slide_maps` as a compressed `.npz`, without pickled objects."""
    with whole_file(path) as unfinished, open(unfinished, "wb") as file:
        np.savez_compressed(file, allow_pickle=False, **slide_maps(look))


def slide_maps(look: SlideLook) -> dict[str, np.ndarray]:
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
    shown = looked_at(look)
    side = look.side_px[shown, None]
    return {
        "attention": look.attention.astype("float32"),
        "attention_to_level0": _transform(look, look.cell_px),
        "magnifications": np.array(look.lattice.magnifications),
        "overview": look.overview,
        "tissue": look.mask,
        "overview_to_level0": _transform(look, look.overview_px),
        "patch_cell": look.index[shown],
        "patch_box": np.concatenate([look.location[shown], side, side], axis=1).astype(float),
        "patch_attention": patch_attention(look)[shown],
        "patch_weight": look.weight[shown],
        "patch_contribution": look.contribution[shown],
        "score_classes": np.array(score_names(look), dtype=str),
        "patches": look.patches[shown],
        "classes": np.array(look.classes, dtype=str),
        "probabilities": look.probabilities,
        "slide": np.array(os.path.basename(look.slide), dtype=str),
        "um_per_px": np.array(look.mpp),
        "bounds": look.geometry[:4],
    }


def _transform(look: SlideLook, step: float) -> np.ndarray:
    x, y = (float(value) for value in look.origin)
    return np.array([[step, 0, x], [0, step, y], [0, 0, 1]])
