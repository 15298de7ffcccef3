"""Whether resolutions, cells and patches of a configuration make sense together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ats_mag.geometry.units import MPP_OF_1X

if TYPE_CHECKING:
    from ats_mag.config.schema import RunConfig

_POWERS = (2.5, 5, 10, 20, 40, 60, 63, 100)  # of objectives, which are easily written without their "x"
_COARSE = 4.0  # um/px above which patches are rarely meant


def geometry_stops(config: RunConfig) -> list[str]:
    """Sentences on what no model can be made of."""
    model, stops = config.model, []
    kinds = len(model.magnifications)
    if model.n_patches < kinds:
        stops.append(
            f"`model.n_patches` is {model.n_patches}, fewer than the {kinds} magnifications, each of which needs a patch: raise it"
        )
    elif model.method == "priority" and model.n_patches < 2 * kinds:
        stops.append(
            f"`model.method: priority` cannot learn where to look from one patch at a magnification: raise `model.n_patches` to "
            f"{2 * kinds}, or set `model.method: sequential`"
        )
    return stops


def geometry_warnings(config: RunConfig) -> list[str]:
    """Sentences on what can be done, but is rarely meant."""
    model, overview = config.model, config.prepare.overview_mpp
    cell = model.stride * overview
    found = []
    for mpp in sorted(set(model.magnifications)):
        if mpp > _COARSE and mpp in _POWERS:
            found.append(
                f'`model.magnifications` has {mpp:g} um/px; if the objective is meant, write "{mpp:g}x", which is '
                f"{MPP_OF_1X / mpp:g} um/px"
            )
        elif mpp > overview:
            found.append(
                f"`model.magnifications` has {mpp:g} um/px, coarser than the overviews ({overview:g} um/px): its patches show less "
                "than the attention sees already"
            )
        field = model.patch_size * mpp
        if field < cell:
            found.append(
                f"a cell is {cell:g} um wide and a patch at {mpp:g} um/px {field:g} um: {1 - (field / cell) ** 2:.0%} of the tissue "
                "is never seen at it; lower `model.stride` or `prepare.overview_mpp`, or raise `model.patch_size`"
            )
    return found
