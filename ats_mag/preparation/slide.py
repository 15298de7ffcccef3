"""Preparing one slide, in whatever process: the slide file in, record and sheet out."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import ats_mag
from ats_mag.preparation.job import SHEETS, Facts, Job, Outcome
from ats_mag.slides.slide_files import content_digest, slide_files
from ats_mag.system.atomic_files import digest, is_of_the_disk, write_whole
from ats_mag.system.open_files import TooManyOpenFiles, once_more

if TYPE_CHECKING:
    import numpy as np

    from ats_mag.slides.overview import Overview


def prepare_slide(job: Job) -> Outcome:
    """Makes the outputs of one slide; what is wrong with the slide comes back as a value.

    Raises:
        RuntimeError: this machine has another version of the package than the one that asks.
        ImportError: it lacks a part.
        OSError: the disk of the records is full.
        TooManyOpenFiles: no more files can be opened, which is no fault of the slide.
    """
    if job.version != ats_mag.__version__:
        raise RuntimeError(
            f"this process has ats_mag {ats_mag.__version__}, the one that asks for records has {job.version}: "
            "install the same version on all machines"
        )
    import tensorflow as tf

    from ats_mag.slides.errors import plain_errors
    from ats_mag.slides.numpy_reader import close_idle

    try:
        # On any machine the same: what a GPU computes may differ in its last bit, and others may need it.
        with plain_errors(), tf.device("CPU:0"):
            return once_more(partial(_outcome, job), close_idle)
    except (ImportError, TooManyOpenFiles):
        raise
    except Exception as error:  # whatever a broken slide brings about must cost that slide only
        if isinstance(error, OSError) and is_of_the_disk(error):
            raise
        text = str(error) or type(error).__name__
        if not isinstance(error, OSError | ValueError | RuntimeError | MemoryError):
            text = f"{type(error).__name__}: {text}"
        return Outcome(error=text.replace(job.slide, job.path))


def _outcome(job: Job) -> Outcome:
    return _prepare(job) if job.standing is None else _draw_again(job, job.standing)


def _prepare(job: Job) -> Outcome:
    import numpy as np

    from ats_mag.geometry.slide_geometry import slide_mpp
    from ats_mag.records.record import encode_record, write_record
    from ats_mag.slides.overview import Overview, view_slide
    from ats_mag.slides.own_mask import own_mask
    from ats_mag.slides.quality import assess

    try:
        source = job.source()  # before the file is read: a change meanwhile shows at the next run
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"slide {job.path!r} does not exist in the folder of slides: correct its path in the manifest, or bring it there"
        ) from error
    content = content_digest(slide_files(job.slide))
    mpp, mpp_source = _resolution(job)
    found = view_slide(job.slide, job.overview_mpp, math.nan if mpp is None else mpp, job.tissue)
    view = Overview(*map(np.asarray, found))
    if job.own_mask is not None:
        view = view._replace(mask=own_mask(job.own_mask, view, job.overview_mpp))
    mask = view.mask
    whole = not mask.any() and job.empty_mask == "whole"
    view = view._replace(mask=~mask if whole else mask)
    cells, outputs = _draw(job, view)
    if not view.mask.any():
        return Outcome(
            error=f"no tissue was found on slide {job.path!r}{_instead(view.image, job)}: remove it from the manifest, draw its "
            "tissue (`prepare.tissue.masks`), or set `prepare.empty_mask: whole`",
            outputs=outputs,
        )
    write_record(job.record, encode_record(view, job.overview_mpp, {**job.texts, "mpp_source": mpp_source}))
    outputs[job.record.name] = digest(job.record)
    geometry = view.geometry
    width, height = (int(side) for side in geometry[2:4])
    quality = assess(job.slide, view, job.overview_mpp, job.tissue, job.own_mask is not None)
    tissue = 0.0 if whole else round(float(mask.mean()), 6)
    facts = Facts(round(float(slide_mpp(geometry)), 7), mpp_source, width, height, tissue, cells, whole, quality)
    return Outcome(source=source, content=content, facts=facts, outputs=outputs)


def _instead(image: np.ndarray, job: Job) -> str:
    """What is there that was not taken for tissue."""
    from ats_mag.slides.numpy_tissue import findings

    seen = findings(image, job.tissue)
    inked = float((seen.ink | seen.red).mean())
    kept = job.own_mask is not None or job.tissue.method != "bounded" or job.tissue.ink == "keep"
    return "" if kept or not inked else f", but {inked:.1%} of the colour of ink or blood (`prepare.tissue.ink: keep`)"


def _draw_again(job: Job, facts: Facts) -> Outcome:
    """The sheet alone, from the record: the slide need not be read."""
    from ats_mag.records.record import read_view

    cells, outputs = _draw(job, read_view(job.record))
    return Outcome(facts=replace(facts, cells=cells), outputs=outputs)


def _draw(job: Job, view: Overview) -> tuple[int | None, dict[str, str]]:
    """The sheet, where one is asked for: the cells on it, and its digest."""
    from ats_mag.preparation.sheet import draw_sheet

    if job.stride is None:
        return None, {}
    sheet, cells = draw_sheet(view.image, view.mask, job.stride, job.overview_mpp)
    write_whole(job.sheet, sheet)
    return cells, {f"{SHEETS}/{job.sheet.name}": digest(job.sheet)}


def _resolution(job: Job) -> tuple[float | None, str]:
    """What overrides the file's um/px, if anything does, and where the um/px in use comes from."""
    from ats_mag.slides.properties import slide_info

    if job.mpp is not None:
        return job.mpp, "manifest"
    source = slide_info(job.slide).mpp_source
    if source is not None:  # also an implausible one: the default is for slides that say nothing
        return None, source
    return job.default_mpp, "default"
