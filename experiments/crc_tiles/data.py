"""The slides of `data_prep.synthetic_slides`: their records and their places."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import tensorflow as tf

import ats_mag
from ats_mag.geometry.lattice import Lattice
from ats_mag.records.record import find_records
from ats_mag.slides.tissue_options import OTSU
from experiments.crc_tiles.settings import CLASSES, Settings


class Cohort:
    """The slides, their records and their places.

    Args:
        folder: as `data_prep.synthetic_slides` wrote it.
        settings: of the run; the records are prepared for its `overview_mpp`.
    """

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder, self.settings = folder, settings
        records = folder / f"records-{settings.overview_mpp:g}"
        manifest = ats_mag.read_manifest(folder / "manifest.csv")
        # The published numbers were measured with this mask.
        prepared = ats_mag.prepare(manifest, folder, records, settings.overview_mpp, 2, tissue=OTSU)
        failed = [done for done in prepared if done.error]
        if failed:
            raise RuntimeError(f"{len(failed)} slides could not be prepared, the first: {failed[0]}")
        self.places = json.loads((folder / "places.json").read_text())
        self.records = {split: find_records(records, split) for split in ("train", "test")}
        self.labels = {s: np.array([CLASSES.index(r["label"]) for r in found]) for s, found in self.records.items()}

    def dataset(self, split: str, shuffle: bool = False) -> tf.data.Dataset:
        """Batches of the slides of a split, labels `(B, 1)`; shuffled ones never end."""
        found = ats_mag.dataset(
            self.records[split],
            self.folder,
            CLASSES,
            self.settings.batch_size,
            shuffle=shuffle,
            seed=self.settings.seed,
        )
        found = found.map(lambda inputs, label: (inputs, label[:, None]))
        return found.repeat() if shuffle else found

    def tissue_um2(self, split: str) -> np.ndarray:
        """Area of each slide's tissue."""
        tile_um2 = 112.0**2
        return np.array([self.places[r["slide_id"]]["tissue_tiles"] * tile_um2 for r in self.records[split]])


def place_mass(cohort: Cohort, split: str, attention: Iterable[np.ndarray]) -> np.ndarray:
    """Attention whose cell has its centre in a recorded place: `(B, M)`.

    Args:
        cohort: of the slides.
        split: of the slides.
        attention: `(H, W, M)` of the first B slides of the split.
    """
    settings = cohort.settings
    lattice = Lattice(settings.overview_mpp, settings.stride, settings.magnifications, settings.patch_size)
    masses = []
    for record, here in zip(cohort.records[split], attention, strict=False):
        column, row = lattice.centres(record["geometry"], here.shape[:2])
        inside = np.zeros(here.shape[:2], dtype=bool)
        for place in cohort.places[record["slide_id"]]["places"]:
            rows = (row >= place["y"]) & (row < place["y"] + place["side"])
            inside |= rows[:, None] & (column >= place["x"]) & (column < place["x"] + place["side"])
        masses.append(here[inside].sum(0))
    return np.array(masses)


def read_share(cohort: Cohort, split: str) -> dict[str, float]:
    """Area of the N patches of a training step as a share of the slide's tissue, overlaps counted twice.

    `mean` and `largest` over the slides, with the N / M patches per magnification of stratified draws;
    `largest_if_coarse`: were all N patches of the coarsest magnification, as they may be at test.
    """
    settings = cohort.settings
    sides = [settings.patch_size * mpp for mpp in settings.magnifications]
    n, m = settings.n_patches, len(sides)
    area = sum((n // m + (i < n % m)) * side**2 for i, side in enumerate(sides))
    tissue = cohort.tissue_um2(split)
    return {
        "mean": float(np.mean(area / tissue)),
        "largest": float(area / tissue.min()),
        "largest_if_coarse": float(n * max(sides) ** 2 / tissue.min()),
    }


def places_share(cohort: Cohort) -> dict[str, float]:
    """Share of the tissue that the places of a slide take: mean and largest over all slides."""
    tile = 224  # level-0 pixels
    shares = [sum((p["side"] // tile) ** 2 for p in s["places"]) / s["tissue_tiles"] for s in cohort.places.values()]
    return {"mean": float(np.mean(shares)), "largest": max(shares)}
