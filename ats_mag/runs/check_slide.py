"""Looking at one slide as preparing and training will."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from ats_mag.geometry.levels import TOLERANCE
from ats_mag.slides.quality import LEAST_SHARE
from ats_mag.slides.tissue_options import DEFAULT_TISSUE, TissueOptions
from ats_mag.system.open_files import limit_behind, once_more

if TYPE_CHECKING:
    import numpy as np

LARGEST_CONTRADICTION = 0.02  # between the manifest's um/px and the file's; scanners round theirs
PROBES = 4  # places at which patches of every magnification are read


@dataclass(frozen=True)
class SlideJob:
    """What to look at, and for what. Resolutions are um/px; see the configuration for the rest."""

    slide_id: str
    path: str
    slide_root: str
    mpp: float | None
    default_mpp: float | None
    overview_mpp: float
    magnifications: tuple[float, ...]
    patch_size: int
    n_patches: int
    stride: int
    empty_mask: str
    tissue: TissueOptions = DEFAULT_TISSUE
    own_mask: str | None = None
    least_tissue: float = LEAST_SHARE


@dataclass
class SlideCheck:
    """What was found.

    Attributes:
        slide_id, path: of the manifest.
        vendor: as OpenSlide names it.
        size: (width, height) of level 0, pixels.
        mpp: um/px of level 0, None where unknown.
        mpp_source: `manifest`, `default` (of the configuration), or the file's property.
        levels: per magnification `mpp`, the `level` read, its `factor` and `how`, see `geometry.levels.LevelChoice`.
        tissue: share of the overview that is tissue.
        cells: of the lattice, all magnifications together.
        tissue_cells: of them, those that hold enough tissue to be looked at; 0 where there is none.
        quickhash: OpenSlide's, the same for the same picture.
        problems: `kind` (see `STOPS`, or `note`) and `text`.
        flags: kinds of what had better be looked at, and a sentence each, see `slides.quality.Quality`.
    """

    slide_id: str
    path: str
    vendor: str | None = None
    size: list[int] | None = None
    mpp: float | None = None
    mpp_source: str | None = None
    levels: list[dict[str, Any]] = field(default_factory=list)
    tissue: float | None = None
    cells: int | None = None
    tissue_cells: int | None = None
    quickhash: str | None = None
    problems: list[dict[str, str]] = field(default_factory=list)
    flags: dict[str, str] = field(default_factory=dict)

    def add(self, kind: str, text: str) -> None:
        """One problem more."""
        self.problems.append({"kind": kind, "text": text})


# Kinds of problems and which step they stop, unless it skips bad slides; "always" stops training in any case.
STOPS = {
    "unreadable": "prepare",
    "no mpp": "prepare",
    "no tissue": "prepare",
    "damaged": "train",
    "too small": "always",
}


def check_slide(job: SlideJob) -> SlideCheck:
    """Opens a slide, finds its resolution and levels, reads its overview, and a few patches of tissue.

    Raises:
        TooManyOpenFiles: no more files can be opened, which is no fault of the slide.
    """
    from ats_mag.slides.numpy_reader import close_idle

    return once_more(partial(_look, job), close_idle)


def _look(job: SlideJob) -> SlideCheck:
    from ats_mag.slides.properties import slide_info
    from ats_mag.slides.slide_files import slide_files

    found = SlideCheck(job.slide_id, job.path)
    file = os.path.join(job.slide_root, job.path)
    try:
        if os.path.exists(file):
            slide_files(file)
        info = slide_info(file, job.mpp)
        found.vendor, found.size, found.quickhash = info.vendor, list(info.dimensions), info.quickhash
        found.mpp, found.mpp_source = info.mpp, "manifest" if job.mpp is not None else info.mpp_source
        if info.mpp is None and not _take_default(job, found, info.mpp_problem):
            return found
        _compare_with_file(job, found, file)
        _check_overview(job, found)
        _choose_levels(job, found, info.level_downsamples)
        _read(job, found, file)
    except (OSError, ValueError, RuntimeError, MemoryError) as error:
        if limit_behind(error) is not None:
            raise
        found.add("unreadable", str(error))
    return found


def given_up(job: SlideJob, how: str, died: bool) -> SlideCheck:
    """Of a slide whose reading ended the process, or took too long."""
    found = SlideCheck(job.slide_id, job.path)
    what = f"ended the process ({how}): the file is damaged" if died else f"{how}: the file or its disk is damaged"
    found.add("unreadable", f"reading it {what}; copy it again from its source")
    return found


def _take_default(job: SlideJob, found: SlideCheck, problem: str | None) -> bool:
    if found.mpp_source is None and job.default_mpp is not None:
        found.mpp, found.mpp_source = job.default_mpp, "default"
        found.add("note", f"the file states no resolution: {job.default_mpp:g} um/px (`data.default_mpp`) is taken")
        return True
    if found.mpp_source is None:
        problem = (
            "neither the file nor the manifest states its resolution (um/px): fill the manifest's column `mpp`, or set "
            "`data.default_mpp`"
        )
    found.add("no mpp", problem or "its resolution is unknown")
    return False


def _compare_with_file(job: SlideJob, found: SlideCheck, file: str) -> None:
    """Says where the table's um/px is not what the file states: one of them is wrong."""
    from ats_mag.slides.properties import slide_info

    stated = slide_info(file)
    if job.mpp is None or stated.mpp is None or abs(job.mpp - stated.mpp) <= LARGEST_CONTRADICTION * stated.mpp:
        return
    found.add(
        "note",
        f"the manifest says {job.mpp:.4g} um/px, the file {stated.mpp:.4g} ({stated.mpp_source}): the manifest's is taken; "
        "correct it there, or leave the cell empty",
    )


def _check_overview(job: SlideJob, found: SlideCheck) -> None:
    assert found.mpp is not None
    if job.overview_mpp < found.mpp * (1 - TOLERANCE):
        times = found.mpp / job.overview_mpp
        found.add(
            "note",
            f"the overview ({job.overview_mpp:g} um/px) is finer than the slide ({found.mpp:.4g}): it is enlarged {times:.3g} times "
            f"along each side, {times**2:.3g} times in memory, and shows no more detail; is the slide a thumbnail, or its um/px wrong?",
        )


def _choose_levels(job: SlideJob, found: SlideCheck, level_downsamples: tuple[float, ...]) -> None:
    from ats_mag.geometry.levels import choose_level

    assert found.mpp is not None
    for mpp in job.magnifications:
        choice = choose_level(level_downsamples, mpp / found.mpp)
        found.levels.append({"mpp": mpp, "level": choice.level, "factor": round(choice.factor, 4), "how": choice.how})
        if choice.how == "interpolate":
            found.add(
                "note",
                f"{mpp:g} um/px is finer than the slide ({found.mpp:.4g}): its pixels are enlarged {1 / choice.factor:.3g} "
                "times, and show no more detail",
            )


def _read(job: SlideJob, found: SlideCheck, file: str) -> None:
    import numpy as np

    from ats_mag.geometry.lattice import Lattice
    from ats_mag.slides import numpy_overview as native_view
    from ats_mag.slides.own_mask import OwnMaskError, own_mask
    from ats_mag.slides.quality import assess

    assert found.mpp is not None
    view = native_view.view_slide(file, job.overview_mpp, found.mpp, job.tissue)
    if job.own_mask is not None:
        try:
            view = view._replace(mask=own_mask(job.own_mask, view, job.overview_mpp))
        except OwnMaskError as error:
            if limit_behind(error) is not None:
                raise
            found.add("no tissue", str(error))
            return
    found.tissue = round(float(view.mask.mean()), 4)
    lattice = Lattice(job.overview_mpp, job.stride, job.magnifications, job.patch_size)
    found.cells = lattice.cell_count(lattice.shape_of_overview(view.mask.shape))
    found.tissue_cells = _count_valid(view.mask, job.stride) * len(job.magnifications)
    if found.cells < job.n_patches:
        found.add(
            "too small",
            f"its lattice has {found.cells} cells, fewer than `model.n_patches` ({job.n_patches}): lower that or "
            "`model.stride`, or prepare with a smaller `prepare.overview_mpp`",
        )
    places = np.argwhere(view.mask)
    if not len(places):
        whole = job.empty_mask == "whole"
        text = "no tissue was found: " + (
            "all of it is looked at"
            if whole
            else "take it out of the manifest, draw its tissue (`prepare.tissue.masks`), or set `prepare.empty_mask: whole`"
        )
        found.add("note" if whole else "no tissue", text)
        places = np.argwhere(~view.mask)
    chosen = places[np.linspace(0, len(places) - 1, PROBES).astype(int)]
    centres = view.geometry[:2] + (chosen[:, ::-1] + 0.5) * lattice.overview_px(found.mpp)
    _probe(job, found, file, centres)
    if not found.problems or found.problems[-1]["kind"] != "damaged":
        found.flags = assess(file, view, job.overview_mpp, job.tissue, job.own_mask is not None).flags(job.least_tissue)


def _count_valid(mask: np.ndarray, stride: int) -> int:
    """How many cells `geometry.cells.valid_cells` calls valid, without Keras."""
    import numpy as np
    from skimage.measure import block_reduce

    return int((block_reduce(mask.astype(np.int64), stride, np.sum) >= math.ceil(0.05 * stride**2 - 1e-6)).sum())


def _probe(job: SlideJob, found: SlideCheck, file: str, centres: np.ndarray) -> None:
    """Reads patches around some places, level-0 (x, y)."""
    import numpy as np

    from ats_mag.slides import numpy_reader
    from ats_mag.slides.paths import encode_paths

    assert found.mpp is not None
    side = job.patch_size
    for mpp in job.magnifications:
        downsample = np.full((1, len(centres)), mpp / found.mpp)
        corners = np.floor(centres - side * downsample[0, 0] / 2 + 0.5).astype(np.int64)[None]
        try:
            numpy_reader.read_patches(encode_paths([file]), corners, downsample, (side, side))
        except (OSError, ValueError, RuntimeError) as error:
            if limit_behind(error) is not None:
                raise
            found.add("damaged", str(error))
            return
