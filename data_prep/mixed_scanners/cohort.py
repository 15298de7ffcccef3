"""Makes a cohort as several scanners would see it, with the mishaps of a real one.

Each tissue is described in micrometres: stroma, foci that an overview shows, and nuclei. In the class `tumour` the nuclei of
the foci are large, in the class `normal` small and so many more that they cover the same area. Scanners differ in um/px, in
the levels of their files and slightly in colour. Every test tissue is scanned twice, at 0.25 and at 0.5 um/px; of the
training slides, ten are broken, each in another way, and five do not state their resolution.

    python -m data_prep.mixed_scanners runs/scanners
    ats-mag validate runs/scanners/config.yaml

writes `slides/`, `manifest.csv`, `config.yaml`, and `mishaps.csv`, which says what is wrong with which slide.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import pandas as pd
import typer
import yaml
from rich.progress import track

from data_prep.mixed_scanners.mishaps import MISHAPS, UNKNOWN_RESOLUTION, forget_resolution
from data_prep.mixed_scanners.tissue import CLASSES, SCANNERS, grow, write


class Job(NamedTuple):
    """A slide to make."""

    slide_id: str
    label: str
    scanner: str
    seed: tuple[int, int, int]  # of the tissue: the cohort, whether it is for testing, its number
    split: str
    mishap: str


def plan(train: int, validation: int, test: int, seed: int) -> list[Job]:
    """The slides of a cohort: mishaps befall the first training slides."""
    mishaps = [*MISHAPS, *[UNKNOWN_RESOLUTION] * 5]
    names = list(SCANNERS)
    jobs = []
    for i in range(train + validation):
        split, mishap = "train" if i < train else "validation", mishaps[i] if i < min(len(mishaps), train) else ""
        scanner = names[(i // 2) % len(names)]
        jobs.append(Job(f"{split}-{i:03d}", CLASSES[i % 2], scanner, (seed, 0, i), split, mishap))
    for i in range(test):
        for scanner in ("b", "d"):
            jobs.append(Job(f"test-{i:03d}-{scanner}", CLASSES[i % 2], scanner, (seed, 1, i), "test", ""))
    return jobs


def make(out: Path, job: Job) -> None:
    """Writes a slide, unless it is there."""
    path = out / "slides" / f"{job.slide_id}.tif"
    done = path.with_name(f".{job.slide_id}.done")
    if done.exists():
        return
    write(path, grow(job.label, np.random.default_rng(job.seed)), SCANNERS[job.scanner])
    if job.mishap == UNKNOWN_RESOLUTION:
        forget_resolution(path)
    elif job.mishap:
        MISHAPS[job.mishap](path)
    done.touch()


CONFIG = {
    "run": "run",
    "data": {"slides": "slides", "manifest": "manifest.csv"},
    "splits": {"kind": "manifest"},
    "prepare": {"overview_mpp": 8.0, "tissue": {"method": "otsu"}, "on_bad_slide": "skip"},  # as was measured
    "model": {"encoder": "small", "magnifications": [1.0, 2.0], "patch_size": 64, "n_patches": 8, "stride": 4},
    "train": {"epochs": 30, "on_bad_slide": "skip", "max_bad_slides": 20},
}


def main(
    out: Annotated[Path, typer.Argument(help="Folder to write.")] = Path("runs/scanners"),
    train: Annotated[int, typer.Option(help="Training slides, those with mishaps included.")] = 108,
    validation: Annotated[int, typer.Option(help="Validation slides.")] = 12,
    test: Annotated[int, typer.Option(help="Test tissues, each scanned twice.")] = 40,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes.")] = 2,
) -> None:
    """Makes slides of several scanners, some of them broken, with a manifest and a configuration."""
    jobs = plan(train, validation, test, seed)
    (out / "slides").mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(workers) as pool:
        for _ in track(pool.map(make, [out] * len(jobs), jobs), "slides", total=len(jobs)):
            pass
    rows = [
        {
            "slide_id": job.slide_id,
            "patient_id": "-".join(job.slide_id.split("-")[:2]),
            "path": f"{job.slide_id}.tif",
            "label": job.label,
            "site": job.scanner,
            "split": job.split,
        }
        for job in jobs
    ]
    pd.DataFrame(rows).to_csv(out / "manifest.csv", index=False)
    mishaps = [(job.slide_id, job.mishap) for job in jobs if job.mishap]
    pd.DataFrame(mishaps, columns=["slide_id", "mishap"]).to_csv(out / "mishaps.csv", index=False)
    (out / "config.yaml").write_text(yaml.safe_dump(CONFIG, sort_keys=False))
