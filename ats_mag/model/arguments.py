"""Checks of the arguments that models alone have."""

from __future__ import annotations

import keras


def check_magnifications(magnifications: tuple[float | str, ...]) -> None:
    """Refuses none, or the same resolution twice."""
    if not magnifications or len(set(magnifications)) < len(magnifications):
        raise ValueError(f"magnifications must be one or more different resolutions. Received: {magnifications!r}")


def check_priority(method: str, n_patches: int, strata: int) -> None:
    """Refuses `priority` where the attention gets no gradient on places: the only patch of a stratum has weight 1 wherever it is."""
    if method == "priority" and n_patches < 2 * strata:
        each = "at each magnification" if strata > 1 else "per slide"
        raise ValueError(
            f"method='priority' learns where to look from two or more patches {each}: give n_patches of at least "
            f"{2 * strata}, or method='sequential'. Received: n_patches={n_patches}"
        )


def stride_of(attention: keras.Model, n_magnifications: int) -> int:
    """Overview pixels per cell of an attention network `(B, h, w, 3)` -> `(B, h/s, w/s, M)`."""
    side = 1024
    shape = attention.compute_output_shape((1, side, side, 3))
    if len(shape) != 4 or shape[3] != n_magnifications or shape[1] != shape[2] or not shape[1] or side % shape[1]:
        raise ValueError(
            f"the attention network must be fully convolutional, (B, h, w, 3) -> (B, h/s, w/s, {n_magnifications}), with "
            f"padding='same' and a stride s that divides {side}. Received: a network that maps (1, {side}, {side}, 3) to "
            f"{tuple(shape)}"
        )
    return side // shape[1]


def dimension_of(feature: keras.Model, patch_size: int) -> int:
    """D of a feature network `(B, P, P, 3)` -> `(B, D)`."""
    shape = feature.compute_output_shape((1, patch_size, patch_size, 3))
    if len(shape) != 2:
        raise ValueError(
            f"the feature network must map (B, {patch_size}, {patch_size}, 3) to (B, D); a network of keras.applications "
            f"does with include_top=False, pooling='avg'. Received: one that gives {tuple(shape)}"
        )
    return shape[1]
