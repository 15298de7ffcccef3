"""What one slide's file says of itself; light, as it runs in processes of its own, which a damaged file may end."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ats_mag.planning.facts import SlideFacts
from ats_mag.system.open_files import limit_behind


@dataclass(frozen=True)
class PropertiesJob:
    """Which slide to look at. Resolutions are um/px; see the configuration."""

    slide_id: str
    path: str
    slide_root: str
    mpp: float | None
    default_mpp: float | None


def look_at_one(job: PropertiesJob) -> SlideFacts | str:
    """What can be planned with; or why the slide cannot be."""
    from ats_mag.slides.properties import slide_info

    try:
        info = slide_info(os.path.join(job.slide_root, job.path), job.mpp)
    except (OSError, ValueError, RuntimeError) as error:
        if limit_behind(error) is not None:
            raise
        return str(error)
    mpp = info.mpp
    if mpp is None and info.mpp_source is None:
        mpp = job.default_mpp
    if mpp is None:
        return info.mpp_problem or (
            "neither the file nor the manifest states its resolution (um/px): fill the manifest's column `mpp`, or give "
            "`data.default_mpp`"
        )
    width, height = info.bounds[2:]
    suffix = Path(job.path).suffix.lower()
    return SlideFacts(job.slide_id, mpp, (width, height), info.level_downsamples, suffix, info.vendor or "unknown")


def given_up(job: PropertiesJob, how: str, died: bool) -> str:
    """Of a slide whose opening ended the process, or took too long."""
    return f"opening it {f'ended the process ({how})' if died else how}: the file is damaged"
