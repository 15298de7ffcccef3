"""The demo's cohort of made slides."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from ats_mag.demo.slides import CLASSES, Place, write_slide

SLIDES_PER_PATIENT = 2


def make_cohort(folder: Path, seed: int, n_train: int, n_test: int) -> Iterator[str]:
    """Writes `slides/*.tif`, `places.json` and `manifest.csv`, and yields each slide's id as it is done.

    Classes are balanced; patients have `SLIDES_PER_PATIENT` slides, all in one split. Slides that exist are kept.

    Args:
        folder: where to.
        seed: of the slides.
        n_train, n_test: slides of each split.
    """
    (folder / "slides").mkdir(parents=True, exist_ok=True)
    rows = []
    for i in range(n_train + n_test):
        split = "train" if i < n_train else "test"
        slide_id = f"{split}-{i:03d}"
        label = CLASSES[i % len(CLASSES)]
        # Consecutive slides differ in class, so a patient's slides do.
        patient = (
            f"patient-{i // SLIDES_PER_PATIENT if split == 'train' else f't{(i - n_train) // SLIDES_PER_PATIENT}'}"
        )
        rows.append(
            {"slide_id": slide_id, "patient_id": patient, "path": f"{slide_id}.tif", "label": label, "split": split}
        )
    jobs = [(folder / "slides" / row["path"], row["label"], [seed, i]) for i, row in enumerate(rows)]
    places = {}
    with ProcessPoolExecutor(os.cpu_count(), mp_context=multiprocessing.get_context("spawn")) as pool:
        for row, found in zip(rows, pool.map(_make_one, jobs, chunksize=4), strict=True):
            places[row["slide_id"]] = [asdict(place) for place in found]
            yield row["slide_id"]
    (folder / "places.json").write_text(json.dumps(places) + "\n")
    pd.DataFrame(rows).to_csv(folder / "manifest.csv", index=False)


def read_places(folder: Path) -> dict[str, list[Place]]:
    """The places of each slide."""
    stored = json.loads((folder / "places.json").read_text())
    return {slide_id: [Place(**place) for place in places] for slide_id, places in stored.items()}


def _make_one(job: tuple[Path, str, list[int]]) -> list[Place]:
    path, label, seed = job
    return write_slide(path, label, np.random.default_rng(seed))
