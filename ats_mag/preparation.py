"""Slides and a manifest in, records out: in parallel, skipping what is done, each record whole or not at all."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ats_mag.units import parse_mpp


@dataclass(frozen=True)
class Prepared:
    """What became of one slide.

    Attributes:
        slide_id: of the manifest.
        status: `written`, `kept` (its record was there and up to date) or `failed`.
        bytes: size of the record; 0 where failed.
        error: why it failed, else None.
    """

    slide_id: str
    status: str
    bytes: int = 0
    error: str | None = None


def prepare(
    manifest: pd.DataFrame,
    slide_root: str | os.PathLike[str],
    out: str | os.PathLike[str],
    overview_mpp: float | str = 8.0,
    workers: int | None = None,
    empty_mask: str = "error",
) -> Iterator[Prepared]:
    """Writes one record per slide, and yields what became of each as it is done.

    A record holds no patches: the overview as PNG, the tissue mask, the path relative to the slide root, geometry and
    label. A slide whose record exists and agrees with the manifest is kept as it is.

    Args:
        manifest: as `read_manifest` gives it.
        slide_root: folder that the manifest's paths are relative to.
        out: folder of the records; made where absent.
        overview_mpp: resolution of the overviews, um/px.
        workers: processes. None: one per CPU.
        empty_mask: a slide without tissue is an `error`, or has its `whole` area looked at.

    Raises:
        ValueError: for an unknown `empty_mask` or an absurd `overview_mpp`.
    """
    if empty_mask not in ("error", "whole"):
        raise ValueError(f"empty_mask must be 'error' or 'whole'. Received: empty_mask={empty_mask!r}")
    overview_mpp = parse_mpp(overview_mpp)
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    columns = ["slide_id", "patient_id", "path", "label", "split", "mpp"]
    rows: list[Any] = manifest[columns].to_dict("records")
    jobs = [(row, str(slide_root), str(out), overview_mpp, empty_mask) for row in rows]
    workers = min(workers or os.cpu_count() or 1, len(jobs))
    # Not forked: TensorFlow's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_quiet_worker) as pool:
        for future in as_completed([pool.submit(_prepare_one, job) for job in jobs]):
            yield future.result()


def _quiet_worker() -> None:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ.setdefault("ATS_MAG_THREADS", "1")  # the processes are the parallelism
    with open(os.devnull, "w") as devnull:
        os.dup2(devnull.fileno(), 2)  # what TensorFlow logs when it is imported; errors come back as values


def _prepare_one(job: tuple[dict[str, Any], str, str, float, str]) -> Prepared:
    from ats_mag import records
    from ats_mag.slides.errors import SlideError, plain_errors
    from ats_mag.slides.overview import view_slide

    row, slide_root, out, overview_mpp, empty_mask = job
    slide_id = row["slide_id"]
    file = Path(out) / (slide_id + records.SUFFIX)
    texts = {name: row[name] for name in ("slide_id", "patient_id", "path", "label", "split")}
    try:
        if _is_done(file, texts, overview_mpp, row["mpp"]):
            return Prepared(slide_id, "kept", file.stat().st_size)
        with plain_errors():
            view = view_slide(os.path.join(slide_root, row["path"]), overview_mpp, row["mpp"])
        if not view.mask.numpy().any():
            if empty_mask == "error":
                raise SlideError(
                    f"no tissue was found on slide {row['path']!r}: remove it from the manifest, or pass "
                    "--empty-mask whole to look at all of it"
                )
            view = view._replace(mask=~view.mask.numpy())
        records.write_record(file, records.encode_record(view, overview_mpp, texts))
        return Prepared(slide_id, "written", file.stat().st_size)
    except (OSError, ValueError, RuntimeError, MemoryError) as error:
        return Prepared(slide_id, "failed", error=str(error))


def _is_done(file: Path, texts: dict[str, str], overview_mpp: float, slide_mpp: float) -> bool:
    from ats_mag.lattice import MPP_UNIT
    from ats_mag.records import RecordError, read_texts

    if not file.exists():
        return False
    try:
        found = read_texts(file)
    except RecordError:
        return False
    same_mpp = slide_mpp != slide_mpp or abs(found["geometry"][4] * MPP_UNIT - slide_mpp) < MPP_UNIT
    return (
        same_mpp and abs(found["overview_mpp"] - overview_mpp) < 1e-4 and all(found[k] == v for k, v in texts.items())
    )
