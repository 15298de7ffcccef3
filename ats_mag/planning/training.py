"""Rules of training: what is drawn, how much at a time, for how long, and what is kept of it."""

from __future__ import annotations

import math

import pandas as pd

from ats_mag.geometry.multiples import ceil_div
from ats_mag.planning.draft import Draft
from ats_mag.planning.facts import Facts, Machine
from ats_mag.planning.scales import FIELD_SIDE, OVERVIEW_BYTES, is_field_cohort, overview_pixels
from ats_mag.sampling.methods import EXHAUSTIVE
from ats_mag.training.method_of_testing import BEARABLE_CELLS, FEW_CELLS

DRAWS = {False: (5, 16), True: (5, 48)}  # without and with a GPU: least per magnification, most of all
SHARE = 0.03  # of the cells with tissue that a slide shows per epoch
FEWEST_DRAWS = 4
TEST_DRAWS = 3  # times as many as while training
BATCH = 8
STEPS = {True: (400, 16, 40), False: (2000, 20, 100)}  # of features known and learnt: steps, fewest and most epochs
PATCH_BYTES = 4 * 3 * 4  # of a pixel of a patch: as it is read, as float32, and resized


def choose_draws(draft: Draft, facts: Facts) -> None:
    """`n_patches` and how they are drawn.

    Raises:
        ValueError: slides are so much smaller than the others that hardly a patch can be drawn of them.
    """
    count, gpu = len(draft["model.magnifications"]), bool(facts.machine.gpus)
    tissue = typical_tissue(facts)
    low, high = DRAWS[gpu]
    wanted = min(max(count * low, math.ceil(SHARE * tissue)), max(high // count, 1) * count)
    wanted = wanted // count * count
    cells = {slide: found.cells for slide, found in facts.tissue.items()}
    smallest = min(cells, key=lambda slide: cells[slide])
    tiny = [slide for slide, number in cells.items() if number < min(FEWEST_DRAWS, wanted)]
    if tiny:
        raise ValueError(
            f"slide(s) {', '.join(map(repr, tiny[:10]))} have {cells[tiny[0]]} cell(s) of the lattice that suits the others, "
            "too few to draw patches of: take them out of the manifest"
        )
    chosen = min(wanted, cells[smallest])
    why = f"{chosen / count:.3g} a magnification: {chosen / tissue:.1%} of the {tissue} cells with tissue of a typical slide per epoch"
    why += f" (aim {SHARE:.0%}, {count * low} at least, {high} at most {'with' if gpu else 'without'} a GPU)."
    if chosen < wanted:
        why += f" No more than the {chosen} cells of {smallest}."
    draft.choose("model.n_patches", chosen, why)
    draft.choose(
        "model.method", "priority", "Of the least variance while the attention is diffuse, see docs/estimators.md."
    )
    most = max(found.tissue_cells for found in facts.tissue.values())
    why = f"The most cells with tissue of a slide are {most}: "
    if most <= FEW_CELLS:
        draft.choose(
            "model.test_method", EXHAUSTIVE, f"{why}up to {FEW_CELLS}, all are read, and nothing hangs on draws."
        )
    else:
        why += (
            f"over {FEW_CELLS}, the most probable that lie apart are read; all, where the attention stays uniform and no slide has more "
            f"than {BEARABLE_CELLS} cells."
        )
        draft.choose("model.test_method", None, why)
        more = max(min(TEST_DRAWS * draft["model.n_patches"], cells[smallest]), count)
        draft.choose(
            "model.test_n_patches", more, f"{TEST_DRAWS} times as many as while training, as no gradient is computed."
        )


def typical_tissue(facts: Facts) -> int:
    """Median of the cells with tissue, all magnifications together."""
    numbers = sorted(found.tissue_cells for found in facts.tissue.values())
    return max(1, numbers[len(numbers) // 2])


def choose_masks(draft: Draft, facts: Facts) -> None:
    """What becomes of slides without tissue, and of those that cannot be read."""
    empty = [slide for slide, found in facts.tissue.items() if found.share == 0]
    fields = is_field_cohort(facts, min(draft["model.magnifications"]))
    if empty:
        why = f"No tissue stands out on {len(empty)} slide(s) ({_some(empty)}): all of them is looked at."
    elif fields:
        why = f"Fields below {FIELD_SIDE} px may be tissue all over, without glass to tell it from."
    else:
        why = "Every slide has tissue that stands out; one that has none should be looked into."
    draft.choose("prepare.empty_mask", "whole" if empty or fields else "error", why)
    if facts.bad:
        why = f"{len(facts.bad)} slide(s) cannot be prepared ({_some(facts.bad)}): mend them, then `raise`."
        draft.choose("prepare.on_bad_slide", "skip", why)
    if facts.damaged:
        why = f"{len(facts.damaged)} slide(s) cannot be read everywhere ({_some(facts.damaged)}): mend them, then `raise`."
        draft.choose("train.on_bad_slide", "skip", why)
        draft.choose("train.max_bad_slides", max(10, len(facts.damaged)), "All that were found damaged, 10 at least.")


def choose_training(draft: Draft, facts: Facts, splits: pd.DataFrame | None) -> None:
    """Batches, epochs and what is kept of a frozen encoder."""
    slides = training_slides(facts, splits)
    machine, encoder = facts.machine, facts.encoder
    each = bytes_of_slide(draft, facts)
    fits = max(1, int(machine.room / 2 / each))
    few = max(2, slides // 4)
    batch = max(1, min(BATCH, fits, few))
    draft.choose(
        "train.batch_size",
        batch,
        f"{BATCH}, but at least four batches of the {slides} training slides ({few}), and no more than fit into half of "
        f"{machine.room / 1e9:.3g} GB ({fits}, of {each / 1e6:.3g} MB each).",
    )
    batches = ceil_div(slides, draft["train.batch_size"])
    steps, low, high = STEPS[encoder.known]
    epochs = min(max(math.ceil(steps / batches), low), high)
    kind = "are known" if encoder.known else "are learnt from nothing"
    draft.choose(
        "train.epochs",
        epochs,
        f"{epochs * batches} steps: {batches} batches of {slides} slides an epoch, {steps} steps aimed at where features {kind}, "
        f"within {low} to {high} epochs.",
    )
    if encoder.caches:
        _choose_cache(draft, facts)


def training_slides(facts: Facts, splits: pd.DataFrame | None) -> int:
    """How many slides the first fold trains on."""
    return len(facts.slides) if splits is None else max(1, int((splits["fold_0"] == "train").sum()))


def bytes_of_slide(draft: Draft, facts: Facts) -> float:
    """Memory that the largest slide of a batch takes in a training step: its overview, and its patches."""
    pixels = max(overview_pixels(slide, draft["prepare.overview_mpp"]) for slide in facts.slides)
    side = max(draft["model.patch_size"], draft["model.encoder_size"] or 0)
    return OVERVIEW_BYTES * pixels + PATCH_BYTES * draft["model.n_patches"] * side**2


def cells_seen(draft: Draft, facts: Facts) -> dict[str, float]:
    """Cells of every slide that are expected to be looked at in a run, if all are equally likely."""
    draws, every = draft["model.n_patches"], draft["model.test_method"] == EXHAUSTIVE
    found = {}
    for slide, tissue in facts.tissue.items():
        total = max(tissue.tissue_cells, 1)
        unseen = max(0.0, 1 - draws / total) ** draft["train.epochs"]
        found[slide] = float(total) if every else total * (1 - unseen)
    return found


def _choose_cache(draft: Draft, facts: Facts) -> None:
    machine: Machine = facts.machine
    each = 4 * facts.encoder.dimension + 200
    seen = sum(cells_seen(draft, facts).values())
    needed = seen * each / 1e9
    memory = _gb(min(needed, machine.memory / 4e9))
    room = machine.disk / 10e9
    said = f"{seen:.0f} patches may be looked at, {each / 1000:.1f} kB each"
    draft.choose("train.feature_cache_gb", memory, f"{said}; a quarter of {machine.memory / 1e9:.3g} GB at most.")
    draft.choose(
        "train.feature_cache_file_gb",
        _gb(min(needed, room)),
        f"{said}; a tenth of the {machine.disk / 1e9:.3g} GB that are free at most. Folds and evaluation share it.",
    )
    draft.choose(
        "train.augment.flips",
        False,
        "A frozen encoder is not taught by them, and each place is encoded once instead of in eight turns.",
    )


def _gb(size: float) -> float:
    """Rounded up to two digits."""
    if size <= 0:
        return 0.0
    digit = 10.0 ** (math.floor(math.log10(size)) - 1)
    return float(f"{math.ceil(size / digit - 1e-9) * digit:.2g}")


def _some(names: object) -> str:
    listed = list(map(str, names))  # type: ignore[call-overload]
    return ", ".join(listed[:5]) + (", ..." if len(listed) > 5 else "")
