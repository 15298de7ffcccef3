"""What the scripts that compose slides share: a folder of slides, their manifest, and the places that are informative."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

Job = TypeVar("Job")


def write_cohort(
    out: Path,
    cohort: BaseModel,
    jobs: Sequence[Job],
    make_slide: Callable[[Job], tuple[dict[str, str], dict[str, Any]]],
    workers: int,
) -> Iterator[str]:
    """Writes the slides, `manifest.csv` and `places.json` into `out`, and yields the slide ids as they are done.

    Args:
        out: folder to write; made where absent.
        cohort: how the slides are made; kept in `cohort.json`.
        jobs: one per slide.
        make_slide: writes the slide of a job unless it exists, so that an interrupted run can be taken up again, and returns its
            row of the manifest and its record of places; runs in another process.
        workers: processes.

    Raises:
        ValueError: `out` holds another cohort.
    """
    (out / "slides").mkdir(parents=True, exist_ok=True)
    description = out / "cohort.json"
    if description.exists() and description.read_text() != cohort.model_dump_json(indent=2):
        raise ValueError(f"{str(out)!r} holds slides of other settings, see its cohort.json: choose another folder")
    description.write_text(cohort.model_dump_json(indent=2))
    rows, places = [], {}
    with ProcessPoolExecutor(workers) as pool:
        for row, record in pool.map(make_slide, jobs):
            rows.append(row)
            places[row["slide_id"]] = record
            yield row["slide_id"]
    with open(out / "manifest.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, ["slide_id", "patient_id", "path", "label", "mpp", "split"])
        writer.writeheader()
        writer.writerows(rows)
    (out / "places.json").write_text(json.dumps(places, indent=1))
