"""The slides of `data_prep.three_scale_slides` as the contestants see them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

import ats_mag
from ats_mag.config.schema import AugmentConfig
from ats_mag.geometry.lattice import Lattice
from ats_mag.records.record import find_records
from ats_mag.slides.tissue_options import OTSU
from data_prep.three_scale_slides.layout import CLASSES, KINDS, MAGNIFICATIONS

SPLITS = ("train", "validation", "test")


class Cohort:
    """Slides, records and places.

    Args:
        folder: as `data_prep.three_scale_slides` wrote it.
        overview_mpp: um/px of the overviews.

    Raises:
        FileNotFoundError: the folder holds no finished cohort.
    """

    def __init__(self, folder: Path, overview_mpp: float) -> None:
        if not (folder / "places.json").exists():
            raise FileNotFoundError(
                f"{str(folder)!r} holds no finished cohort: run `python -m data_prep.three_scale_slides TILES {folder}` first"
            )
        self.folder = folder
        if len(list((folder / "records").glob("*.tfrecord"))) < len(
            manifest := ats_mag.read_manifest(folder / "manifest.csv")
        ):
            # The published numbers were measured with this mask.
            prepared = ats_mag.prepare(manifest, folder, folder / "records", overview_mpp, 2, tissue=OTSU)
            failed = [s for s in prepared if s.error]
            if failed:
                raise RuntimeError(f"{len(failed)} slides could not be prepared, the first: {failed[0]}")
        self.description = json.loads((folder / "cohort.json").read_text())
        self.places = json.loads((folder / "places.json").read_text())
        self.records = {split: find_records(folder / "records", split) for split in SPLITS}
        self.labels = {s: np.array([CLASSES.index(r["label"]) for r in found]) for s, found in self.records.items()}

    def dataset(self, split: str, batch_size: int) -> tf.data.Dataset:
        """Batches of inputs and labels."""
        return ats_mag.dataset(self.records[split], self.folder, CLASSES, batch_size)

    def training(self, batch_size: int, seed: int) -> tf.data.Dataset:
        """Batches of training slides: in a new order every epoch, mirrored and turned at random."""
        options = {"shuffle": True, "seed": seed, "augment": AugmentConfig(flips=True)}
        return ats_mag.dataset(self.records["train"], self.folder, CLASSES, batch_size, **options)

    def inside(self, record: dict[str, Any], kind: str, lattice: Lattice, shape: tuple[int, int]) -> np.ndarray:
        """Which cells `(H, W)` have their centre in a place of that kind."""
        column, row = lattice.centres(record["geometry"], shape)
        found = np.zeros(shape, dtype=bool)
        for place in self.places[record["slide_id"]]["places"]:
            if place["kind"] == kind:
                rows = (row >= place["y"]) & (row < place["y"] + place["side"])
                found |= rows[:, None] & (column >= place["x"]) & (column < place["x"] + place["side"])
        return found


def on_places(
    cohort: Cohort, split: str, attention: Sequence[np.ndarray], lattice: Lattice
) -> dict[str, dict[str, float]]:
    """Per kind of place: the attention on it in the slides that have it, and the share of that on the magnification of its cue.

    Args:
        cohort: of the slides.
        split: of the slides.
        attention: `(H, W, M)` of each slide of the split.
        lattice: of the model. Where it lacks a kind's magnification, so does that kind's share.
    """
    found = {}
    for kind, mpp in zip(KINDS, MAGNIFICATIONS, strict=True):
        mass = [
            here[cohort.inside(record, kind, lattice, here.shape[:2])].sum(0)
            for record, here in zip(cohort.records[split], attention, strict=True)
            if cohort.places[record["slide_id"]]["kind"] == kind
        ]
        mean = np.mean(mass, axis=0)
        found[kind] = {"attention": float(mean.sum())}
        if mpp in lattice.magnifications and len(lattice.magnifications) > 1:
            found[kind]["share_on_its_magnification"] = float(mean[lattice.magnifications.index(mpp)] / mean.sum())
    return found
