"""Rules of resolution: patch size, magnifications, overview and the lattice of cells."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ats_mag.config.reading import ConfigError
from ats_mag.geometry.lattice import Lattice
from ats_mag.geometry.levels import TOLERANCE, choose_level
from ats_mag.geometry.units import RESOLUTIONS
from ats_mag.planning.draft import Draft
from ats_mag.planning.facts import Facts, SlideFacts

FIELD_SIDE = 2000  # px; slides whose longer side is shorter are fields
LEAST_PATCH = 16  # px
SMALLEST_FOR_LADDER = 28  # px; no smaller patch is taken for the sake of more magnifications
ACROSS = 4  # patches side by side on the smaller whole slides, of every magnification
LEAST_ENCODED = 64  # px, that a smaller patch is enlarged to for an encoder
LADDERS = ((3, 4), (3, 2), (2, 4), (2, 2), (1, 1))  # magnifications and the factor between them, the best first
MOST_AVERAGED = 4  # pixels of a level, along a side, for a pixel of a patch: more is read for nothing
LEAST_CELLS = 300  # of a lattice, all magnifications together
STRIDES = ((16, 1.25), (8, 1.25), (4, 1.25), (4, 2.0), (2, 1.25), (1, 1.25))  # and how far a cell may grow for it
OVERVIEW_BYTES = 200  # of memory, per pixel of an overview, that the attention network takes in a training step
LEAST_BATCH = 4  # slides whose overviews must fit
OVERVIEW_PIXELS = (250_000, 4_000_000)  # of a slide: bounds of what memory may allow


def choose_scales(draft: Draft, facts: Facts) -> None:
    """Everything that depends on the slides' sizes and levels alone."""
    finest, why = _finest(facts)
    _choose_patch_and_magnifications(draft, facts, finest, why)
    _choose_overview(draft, facts)


def is_field_cohort(facts: Facts, finest: float) -> bool:
    """Whether most slides are small fields rather than whole slides."""
    longest = sorted(max(slide.extent) / finest for slide in facts.slides)
    return longest[len(longest) // 2] < FIELD_SIDE


def cells_of(slide: SlideFacts, lattice: Lattice) -> int:
    """How many cells its lattice has, all magnifications together."""
    overview = [math.ceil(side / lattice.overview_mpp) for side in reversed(slide.extent)]
    return lattice.cell_count(lattice.shape_of_overview(overview))


def lattice_of(draft: Draft) -> Lattice:
    """The planned lattice."""
    return Lattice(
        draft["prepare.overview_mpp"],
        draft["model.stride"],
        tuple(draft["model.magnifications"]),
        draft["model.patch_size"],
    )


def overview_pixels(slide: SlideFacts, mpp: float) -> int:
    """Of its overview at `mpp` um/px."""
    return math.prod(math.ceil(side / mpp) for side in slide.extent)


def _given(draft: Draft) -> bool:
    return draft.is_given("model.magnifications")


def _finest(facts: Facts) -> tuple[float, str]:
    """The finest resolution that is of use, um/px, and why."""
    slides = facts.slides
    finest = _rounded(max(slide.mpp for slide in slides))
    span = f"{min(slide.mpp for slide in slides):.4g} to {max(slide.mpp for slide in slides):.4g}"
    why = f"level 0 is at {span} um/px, and nothing is enlarged at {finest:g}"
    likes = [mpp for mpp in facts.encoder.mpp if mpp >= finest * (1 - TOLERANCE)]
    if likes:
        return min(likes), f"{why}; {facts.encoder.name} was made for {min(likes):g} um/px"
    return finest, why


def _patch_and_ladder(draft: Draft, facts: Facts, finest: float, fields: bool) -> tuple[int, tuple[int, int]]:
    """The largest patch and, of that, the best of `LADDERS` under which the smaller slides have room."""
    short, side = facts.small.short, facts.encoder.field_patch if fields else facts.encoder.patch
    sides = [side] if fields else [side // part for part in (1, 2, 4, 8) if side // part >= SMALLEST_FOR_LADDER]
    if draft.is_given("model.patch_size"):
        sides = [draft["model.patch_size"]]
    elif fields:
        while 2 * sides[0] * finest > short and sides[0] > LEAST_PATCH:
            sides = [max(LEAST_PATCH, sides[0] // 2)]
    across = 1 if fields or draft.is_given("model.patch_size") else ACROSS
    overview = draft["prepare.overview_mpp"] if draft.is_given("prepare.overview_mpp") else math.inf
    for ladder in LADDERS:
        chosen = _steps(finest, ladder)
        if chosen[-1] <= overview and _quick_to_read(chosen, facts.regular):
            for side in sides:
                if across * side * chosen[-1] <= short:
                    return side, ladder
    side = sides[-1]
    while 2 * side * finest > short and side > LEAST_PATCH and not draft.is_given("model.patch_size"):
        side = max(LEAST_PATCH, side // 2)
    return side, LADDERS[-1]


def _choose_patch_and_magnifications(draft: Draft, facts: Facts, finest: float, why: str) -> None:
    encoder = facts.encoder
    fields = is_field_cohort(facts, min(draft["model.magnifications"]) if _given(draft) else finest)
    side, ladder = _patch_and_ladder(draft, facts, finest, fields)
    short = facts.small.short
    likes = encoder.field_patch if fields else encoder.patch
    reason = f"{encoder.name} likes {likes} px of {'fields' if fields else 'whole slides'} "
    reason += f"({'most are' if fields else 'most are not'} below {FIELD_SIDE} px at {finest:g} um/px)."
    if side < likes:
        reason += f" Less, as the smaller slides measure {short:.0f} um across"
        reason += "." if fields else f", where {ACROSS} patches of each magnification shall lie side by side."
    draft.choose("model.patch_size", side, reason)
    side = draft["model.patch_size"]
    if side != encoder.patch and not encoder.any_size:
        draft.choose("model.encoder_size", encoder.patch, f"{encoder.name} was made for patches of this side.")
    elif side < LEAST_ENCODED and encoder.known:
        draft.choose("model.encoder_size", LEAST_ENCODED, f"Of less, {encoder.name} says little.")
    chosen = _steps(finest, ladder)
    widths = ", ".join(f"{side * mpp:.0f}" for mpp in chosen)
    reason = f"{why[0].upper()}{why[1:]}. "
    reason += f"Steps of {ladder[1]}: patches show {widths} um, " if ladder[0] > 1 else f"Patches show {widths} um, "
    reason += f"and the smaller slides measure {short:.0f} um across. "
    reason += f"Each is read from a level with at most {MOST_AVERAGED} x {MOST_AVERAGED} pixels for one."
    draft.choose("model.magnifications", chosen, reason)


def _steps(finest: float, ladder: tuple[int, int]) -> list[float]:
    count, factor = ladder
    return [_rounded(finest * factor**i) for i in range(count)]


def _quick_to_read(magnifications: Sequence[float], slides: Sequence[SlideFacts]) -> bool:
    return all(
        choose_level(slide.downsamples, mpp / slide.mpp).factor <= MOST_AVERAGED * 1.05
        for slide in slides
        for mpp in magnifications
    )


def _choose_overview(draft: Draft, facts: Facts) -> None:
    magnifications = sorted(draft["model.magnifications"])
    patch = draft["model.patch_size"] * magnifications[0]  # um
    cell, cells = _cell(facts, patch, len(magnifications))
    budget = _budget(facts)
    largest = max(facts.slides, key=lambda slide: math.prod(slide.extent))
    least = max(magnifications[-1], math.sqrt(math.prod(largest.extent) / budget))  # um/px
    least = min(least, RESOLUTIONS[1])
    overview, stride = draft["prepare.overview_mpp"], draft["model.stride"]
    if draft.is_given("prepare.overview_mpp"):
        stride = 2 ** max(0, round(math.log2(cell / overview)))
    elif draft.is_given("model.stride"):
        overview = _rounded_up(max(cell / stride, least))
    else:
        stride, _ = next(((s, t) for s, t in STRIDES if max(cell / s, least) * s <= t * cell), (4, math.inf))
        overview = _rounded_up(max(cell / stride, least))
    if not draft.is_given("prepare.overview_mpp") and overview > RESOLUTIONS[1]:
        raise ConfigError(_too_wide(draft, facts, magnifications[0]))
    draft.choose(
        "prepare.overview_mpp",
        overview,
        f"Not finer than the patches ({magnifications[-1]:g} um/px), and at most {budget / 1e6:.2g} MPx for the largest "
        f"slide, {largest.slide_id} ({overview_pixels(largest, overview) / 1e6:.2g} MPx): the attention network takes about "
        f"{OVERVIEW_BYTES} B a pixel, of which {LEAST_BATCH} slides may take a quarter of {facts.machine.room / 1e9:.3g} GB.",
    )
    overview = draft["prepare.overview_mpp"]
    draft.choose(
        "model.stride",
        stride,
        f"A cell is {stride * overview:.0f} um wide, {stride * overview / patch:.2g} of a patch at {magnifications[0]:g} "
        f"um/px: a patch was aimed at, or less of it where lattices had fewer than {LEAST_CELLS} cells (at "
        f"{cell / patch:.2g} of it the smaller slides have {cells}).",
    )


def _too_wide(draft: Draft, facts: Facts, finest: float) -> str:
    """Why no overview goes with what was given: what is chosen fits the slides."""
    keys = ("model.patch_size", "model.magnifications", "model.stride")
    given = ", ".join(f"{key}={draft[key]}" for key in keys if draft.is_given(key))
    side, short = draft["model.patch_size"], facts.small.short
    return (
        f"{given} is too coarse for these slides: at {finest:g} um/px a patch of {side} px shows {side * finest:.0f} um, and the "
        f"smaller slides measure {short:.0f} um across; give a smaller model.patch_size or finer model.magnifications, so that a "
        f"patch is no wider than the slides (at {finest:g} um/px, {int(short / finest)} px), or leave them out"
    )


def _cell(facts: Facts, patch: float, count: int) -> tuple[float, int]:
    """Side of a cell in um, and how many the smaller slides have."""
    for share in (1.0, 0.5, 0.25):
        side = patch * share
        cells = count * math.prod(math.ceil(x / side) for x in facts.small.extent)
        if cells >= LEAST_CELLS:
            break
    return side, cells


def _budget(facts: Facts) -> float:
    """Pixels that the overview of a slide may have."""
    low, high = OVERVIEW_PIXELS
    return min(max(facts.machine.room / 4 / LEAST_BATCH / OVERVIEW_BYTES, low), high)


def _rounded(mpp: float) -> float:
    """To four digits, which no level is told apart by."""
    return float(f"{mpp:.4g}")


def _rounded_up(mpp: float) -> float:
    rounded = _rounded(mpp)
    return rounded if rounded >= mpp else _rounded(mpp * 1.0005)
