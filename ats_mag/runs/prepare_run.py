"""Preparing the slides of a run as its configuration says."""

from __future__ import annotations

from collections.abc import Iterator

from ats_mag.preparation import Prepared, prepare
from ats_mag.runs.comparability import tissue_of
from ats_mag.runs.run import Run


def prepare_run(run: Run, workers: int | None = None, scheduler: str | None = None) -> Iterator[Prepared]:
    """Prepares the slides of a run's manifest, and yields what became of each, see `preparation.prepare`.

    Args:
        run: the run.
        workers: processes. None: as the configuration says.
        scheduler: address of a Dask scheduler. None: as the configuration says.
    """
    settings = run.config
    asked = settings.prepare
    return prepare(
        run.manifest,
        settings.data.slides,
        settings.records,
        asked.overview_mpp,
        workers or asked.workers,
        asked.empty_mask,
        asked.scheduler if scheduler is None else scheduler,
        settings.data.default_mpp,
        asked.sheets,
        settings.model.stride,
        asked.minutes_per_slide,
        tissue_of(settings),
        asked.tissue.masks,
        asked.tissue.least_share,
    )
