"""Preparing a cohort: what stands is kept, the rest is handed out, and what came of each slide is written down."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

import ats_mag
from ats_mag.geometry.units import parse_mpp, parse_slide_mpp
from ats_mag.preparation.folder import held_alone
from ats_mag.preparation.index import write_index
from ats_mag.preparation.job import SHEETS, Facts, Job, Outcome
from ats_mag.preparation.slide import prepare_slide
from ats_mag.preparation.state import (
    State,
    drop_aside,
    read_state,
    record_stands,
    set_aside,
    sheet_stands,
    write_state,
)
from ats_mag.slides.own_mask import own_masks
from ats_mag.slides.quality import LEAST_SHARE
from ats_mag.slides.shared_library import find_library
from ats_mag.slides.tissue_options import DEFAULT_TISSUE, TissueOptions
from ats_mag.system.atomic_files import whole_file
from ats_mag.system.dask_cluster import check_address
from ats_mag.system.processes import run_in_processes

FAILED = "failed.csv"

_Run = Callable[[Sequence[Job], int | None, Callable[[Job], None]], Iterator[tuple[Job, Outcome]]]


@dataclass(frozen=True)
class Prepared:
    """What became of one slide.

    Attributes:
        slide_id: of the manifest.
        status: `written`, `kept` (its record was there and up to date) or `failed`.
        bytes: size of the record; 0 where failed.
        error: why it failed, else None.
        flags: kinds of what had better be looked at, see `Quality.flags`.
    """

    slide_id: str
    status: str
    bytes: int = 0
    error: str | None = None
    flags: tuple[str, ...] = ()


def prepare(
    manifest: pd.DataFrame,
    slide_root: str | os.PathLike[str],
    out: str | os.PathLike[str],
    overview_mpp: float | str = 8.0,
    workers: int | None = None,
    empty_mask: str = "error",
    scheduler: str | None = None,
    default_mpp: float | str | None = None,
    sheets: bool = False,
    stride: int = 8,
    minutes_per_slide: float = 60.0,
    tissue: TissueOptions = DEFAULT_TISSUE,
    masks: str | os.PathLike[str] | None = None,
    least_tissue: float = LEAST_SHARE,
) -> Iterator[Prepared]:
    """Writes one record per slide, and yields what became of each as it is done.

    A record holds no patches: the overview as PNG, the tissue mask, the path relative to the slide root, geometry and
    label. A slide whose record exists, is undamaged, and agrees with manifest, slide file and options is kept as it is;
    so a run that was interrupted, however roughly, is finished by the same call. The files that come out are the same
    to the byte whether it was interrupted or not, and whoever did the work.

    A slide that fails costs the others nothing. Its name and the reason are yielded, and stand in `failed.csv` of the
    folder; a record from before it failed is moved to the folder `aside`. A slide whose process dies is tried once more
    on its own.

    Args:
        manifest: as `read_manifest` gives it.
        slide_root: folder that the manifest's paths are relative to.
        out: folder of the records; made where absent.
        overview_mpp: resolution of the overviews, um/px.
        workers: processes. None: one per CPU. With a `scheduler`, the most slides under way; None: what keeps its
            workers busy.
        empty_mask: a slide without tissue is an `error`, or has its `whole` area looked at.
        scheduler: address of a Dask scheduler that the work goes to, instead of processes of this machine. Its workers
            must see slides and records under the same paths.
        default_mpp: um/px of level 0 of slides of which neither the manifest nor the file states it.
        sheets: whether to draw a quality sheet of every slide, and `sheets/index.html` to look through them.
        stride: overview pixels per cell of the sheets' lattice.
        minutes_per_slide: a slide that takes longer is given up and counts as failed.
        tissue: how tissue is found on the overviews.
        masks: folder of masks that somebody drew, `SLIDE_ID.png` or `SLIDE_ID.geojson`, see `slides.own_mask`; slides without one
            have theirs found. The manifest's column `tissue_mask` names files of other names.
        least_tissue: share of an overview on tissue, below which a slide is said to have little.

    Raises:
        ValueError: for an unknown `empty_mask`, an absurd resolution, number or address, or a mask that is named and not there.
        FileNotFoundError: there is no folder of slides.
        ConnectionError: no Dask scheduler answers, or it was lost.
        ImportError: the slide reader or Dask is not installed.
        RuntimeError: another process is preparing into this folder, or no process can be started.
    """
    if empty_mask not in ("error", "whole"):
        raise ValueError(f"empty_mask must be 'error' or 'whole'. Received: empty_mask={empty_mask!r}")
    for name, value in (("workers", workers or 1), ("stride", stride), ("minutes_per_slide", minutes_per_slide)):
        if not value > 0:
            raise ValueError(f"{name} must be positive. Received: {name}={value!r}")
    if scheduler is not None:
        check_address(scheduler)  # also where nothing is left to do
    options: dict[str, Any] = {
        "slide_root": os.path.abspath(slide_root),
        "out": os.path.abspath(out),
        "overview_mpp": parse_mpp(overview_mpp),
        "default_mpp": None if default_mpp is None else parse_slide_mpp(default_mpp),
        "empty_mask": empty_mask,
        "stride": stride if sheets else None,
        "version": ats_mag.__version__,
        "tissue": tissue,
        "least_tissue": least_tissue,
    }
    jobs = _jobs(manifest, options, None if masks is None else os.path.abspath(masks))
    find_library()
    if not os.path.isdir(slide_root) and not all(os.path.isabs(job.path) for job in jobs):
        raise FileNotFoundError(f"the folder of slides {os.fspath(slide_root)!r} does not exist")
    return _prepare_all(jobs, Path(options["out"]), workers, scheduler, minutes_per_slide * 60)


def _jobs(manifest: pd.DataFrame, options: dict[str, Any], masks: str | None) -> list[Job]:
    rows: list[Any] = manifest[["slide_id", "patient_id", "path", "label", "split", "mpp"]].to_dict("records")
    drawn = own_masks(manifest, masks)
    return [
        Job(**{**row, "mpp": None if pd.isna(row["mpp"]) else float(row["mpp"])}, **options, own_mask=mask)
        for row, mask in zip(rows, drawn, strict=True)
    ]


def _prepare_all(
    jobs: list[Job], out: Path, workers: int | None, scheduler: str | None, seconds: float
) -> Iterator[Prepared]:
    out.mkdir(parents=True, exist_ok=True)
    if any(job.stride is not None for job in jobs):
        (out / SHEETS).mkdir(exist_ok=True)
    with held_alone(out):
        todo = []
        for job in jobs:
            job, stands = _kept(job, out)
            if stands:
                flags = _flags(job, read_state(out, job.slide_id).facts)
                yield Prepared(job.slide_id, "kept", job.record.stat().st_size, flags=flags)
            else:
                todo.append(job)
        if todo:
            with ExitStack() as stack:
                run: _Run
                if scheduler is None:
                    run = partial(_locally, seconds)
                else:
                    from ats_mag.system.dask_cluster import connected, run_on_dask

                    client = stack.enter_context(connected(scheduler))
                    run = partial(run_on_dask, client, prepare_slide, died=_died, seconds=seconds, late=_late)
                yield from _work_through(todo, out, run, workers)
        _report(jobs, out)


def _died(error: str) -> Outcome:
    return Outcome(error=error, died=True)


def _late(error: str) -> Outcome:
    return Outcome(error=error)


def _locally(
    seconds: float, jobs: Sequence[Job], workers: int | None, begin: Callable[[Job], None]
) -> Iterator[tuple[Job, Outcome]]:
    """Over processes of this machine, each of which may die or hang without the others noticing."""
    return run_in_processes(
        prepare_slide, jobs, workers or os.cpu_count() or 1, _given_up, seconds, begin, _load_reader
    )


def _load_reader() -> None:
    from ats_mag.slides.shared_library import load_op

    load_op()


def _given_up(job: Job, how: str, died: bool) -> Outcome:
    return Outcome(error=f"the process that read it died ({how})" if died else f"reading it {how}", died=died)


def _kept(job: Job, out: Path) -> tuple[Job, bool]:
    """Whether nothing is to be done; and the job, which says where the sheet is all that there is to do."""
    state = read_state(out, job.slide_id)
    if not record_stands(job, state):
        return job, False
    if not sheet_stands(job, state):
        return replace(job, standing=state.facts), False
    if state.status != "done":
        write_state(out, replace(state, status="done", error=None))
    return job, True


def _work_through(todo: list[Job], out: Path, run: _Run, workers: int | None) -> Iterator[Prepared]:
    def begin(job: Job) -> None:
        write_state(out, read_state(out, job.slide_id).started())

    died = []
    for job, outcome in run(todo, workers, begin):
        if outcome.died:
            died.append(job)
        else:
            yield _finish(job, outcome, out)
    # Alone, as it may have been the memory that all took together.
    for job, outcome in run(died, 1, begin):
        yield _finish(job, outcome, out)


def _finish(job: Job, outcome: Outcome, out: Path) -> Prepared:
    write_state(out, read_state(out, job.slide_id).finished(job, outcome))
    if outcome.error is None:
        drop_aside(job)
        return Prepared(job.slide_id, "written", job.record.stat().st_size, flags=_flags(job, outcome.facts))
    if job.standing is None:
        set_aside(job)
    return Prepared(job.slide_id, "failed", error=outcome.error)


def _flags(job: Job, facts: Facts | None) -> tuple[str, ...]:
    return () if facts is None or facts.quality is None else tuple(facts.quality.flags(job.least_tissue))


def _report(jobs: list[Job], out: Path) -> None:
    """The failed slides as a table, and the page of the sheets."""
    slides: list[tuple[Job, State]] = [(job, read_state(out, job.slide_id)) for job in jobs]
    rows = [(j.slide_id, j.patient_id, j.path, state.error) for j, state in slides if state.status != "done"]
    with whole_file(out / FAILED) as unfinished:
        pd.DataFrame(rows, columns=["slide_id", "patient_id", "path", "error"]).to_csv(unfinished, index=False)
    if any(job.stride is not None for job in jobs):
        write_index(out, slides)
