"""Looking at all slides of a manifest, in parallel processes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ats_mag.runs.check_slide import SlideCheck, SlideJob, check_slide, given_up
from ats_mag.runs.comparability import tissue_of
from ats_mag.slides.own_mask import own_masks
from ats_mag.system.processes import run_in_processes

if TYPE_CHECKING:
    import pandas as pd

    from ats_mag.config.schema import RunConfig


def check_slides(config: RunConfig, manifest: pd.DataFrame) -> Iterator[SlideCheck]:
    """What `check_slide` finds of every slide, in any order.

    Args:
        config: of the run.
        manifest: as `load_manifest` gives it.
    """
    drawn = own_masks(manifest, config.prepare.tissue.masks)
    jobs = [
        SlideJob(
            slide_id,
            path,
            str(config.data.slides),
            None if mpp != mpp else mpp,
            config.data.default_mpp,
            config.prepare.overview_mpp,
            tuple(config.model.magnifications),
            config.model.patch_size,
            config.model.n_patches,
            config.model.stride,
            config.prepare.empty_mask,
            tissue_of(config),
            own,
            config.prepare.tissue.least_share,
        )
        for (slide_id, path, mpp), own in zip(
            manifest[["slide_id", "path", "mpp"]].itertuples(index=False), drawn, strict=True
        )
    ]
    workers = config.prepare.workers or os.cpu_count() or 1
    for _, found in run_in_processes(check_slide, jobs, workers, given_up, 60 * config.prepare.minutes_per_slide):
        yield found
