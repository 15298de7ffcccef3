"""The cohorts of the panel: how each is made, and with which seeds it is made for development and for the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from experiments.cohort_runs.runs import make_cohort
from experiments.common.processes import run_module
from experiments.megapixel.reference.images import Images

MANIFEST, PLACES, MADE = "manifest.csv", "places.json", ".made"


@dataclass(frozen=True)
class Sources:
    """Where the data lie that cohorts are made of. None: not at hand.

    Attributes:
        tiles: colon tiles, `training/AC`, `training/H`, `test/AC`, `test/H`.
        glas: the unpacked challenge.
        mnist: `mnist.npz`.
    """

    tiles: Path | None = None
    glas: Path | None = None
    mnist: Path | None = None


@dataclass(frozen=True)
class PanelCohort:
    """A cohort of the panel.

    Attributes:
        make: `make(source, folder, seed)` makes it in a folder, and leaves `manifest.csv`.
        source: the field of `Sources` that it needs. None: it is made of nothing else.
        test: seed of the cohort that no choice has seen.
        development: seed of the cohort that choices are made on.
        slides: folder of the slides within the cohort's.
        of: the cohort whose slides it takes some of; `make` is given that one's folder as the source.
        every: changes of the plan for what sees all patches, whose cells must be no more than can be encoded.
        fields: the same for a selection by a light network, of one magnification. None: too small for one.
    """

    make: Callable[[Path | None, Path, int], None]
    source: str | None
    test: int
    development: int
    slides: str = "."
    of: str | None = None
    every: Mapping[str, Any] = field(default_factory=dict)
    fields: Mapping[str, Any] | None = None


def make_once(name: str, folder: Path, sources: Sources, development: bool) -> Path:
    """Makes a cohort in `folder / name`, unless it is there.

    Returns:
        The folder of its slides.
    """
    cohort, out = COHORTS[name], folder / name
    source = None if cohort.source is None else getattr(sources, cohort.source)
    if cohort.of is not None:
        make_once(cohort.of, folder, sources, development)
        source = folder / cohort.of
    if not (out / MADE).exists():
        out.mkdir(parents=True, exist_ok=True)
        cohort.make(source, out, cohort.development if development else cohort.test)
        (out / MADE).touch()
    return (folder / cohort.of if cohort.of else out) / cohort.slides


def _tiles(tiles: Path | None, out: Path, seed: int) -> None:
    make_cohort("synthetic_slides", tiles, out, "--train", 200, "--test", 100, "--seed", seed)


def _texture(tiles: Path | None, out: Path, seed: int) -> None:
    """Places that are stained as all else."""
    make_cohort("synthetic_slides", tiles, out, "--train", 200, "--test", 100, "--seed", seed, "--place-density", 1)


def _few(whole: Path | None, out: Path, _: int) -> None:
    """40 training slides."""
    _some(whole, out, {"healthy": 20, "cancer": 20})


def _rare(whole: Path | None, out: Path, _: int) -> None:
    """5 % of the training slides are of cancer."""
    _some(whole, out, {"healthy": 95, "cancer": 5})


def _some(whole: Path | None, out: Path, counts: dict[str, int]) -> None:
    """The first training slides of each class, and all test slides."""
    if whole is None:
        raise ValueError("the cohort is part of another one, whose folder is missing")
    table = pd.read_csv(whole / MANIFEST)
    train = table["split"] == "train"
    chosen = [table[train & (table["label"] == label)].head(count) for label, count in counts.items()]
    pd.concat([*chosen, table[~train]]).to_csv(out / MANIFEST, index=False)
    (out / PLACES).write_bytes((whole / PLACES).read_bytes())


def _three_scales(tiles: Path | None, out: Path, seed: int) -> None:
    make_cohort("three_scale_slides", tiles, out, "--seed", seed)


def _scanners(_: Path | None, out: Path, seed: int) -> None:
    run_module("data_prep.mixed_scanners", out, "--seed", seed)


def _glas(data: Path | None, out: Path, seed: int) -> None:
    """The official division; with another seed than 0 the official training fields alone, a fifth of them as test."""
    make_cohort("glas", data, out)
    if seed:
        table = pd.read_csv(out / MANIFEST)
        table = table[table["split"] == "train"].copy()
        test = np.random.default_rng(seed).choice(table.index, len(table) // 5, replace=False)
        table.loc[test, "split"] = "test"
        table.to_csv(out / MANIFEST, index=False)


def _mnist(data: Path | None, out: Path, seed: int) -> None:
    """The images of docs/results.md, section 4, as files; of other digits' places with another seed than 0."""
    options = ["--side", 200, "--scale", 0.2, "--no-noise", "--test", 500]
    make_cohort("megapixel_mnist", data, out, *options, "--seed", seed)
    if not (out / MANIFEST).exists():
        pd.DataFrame(_mnist_files(out)).to_csv(out / MANIFEST, index=False)


def _mnist_files(out: Path) -> Iterator[dict[str, object]]:
    (out / "slides").mkdir(exist_ok=True)
    for split in ("train", "test"):
        images = Images(out / f"{split}.npz")
        for i, label in enumerate(images.label):
            pixels = np.rint(255 * images.batch([i])[0][1][0]).astype(np.uint8)
            name = f"{split}-{i:04d}"
            Image.fromarray(np.repeat(pixels, 3, axis=-1)).save(out / "slides" / f"{name}.png")
            yield {
                "slide_id": name,
                "patient_id": name,
                "path": f"{name}.png",
                "label": label,
                "mpp": 1.0,
                "split": split,
            }


# Fields of 256 um side by side, at the resolution that shows their tiles best.
FIELDS = {"model.magnifications": [2.0], "model.patch_size": 128, "model.encoder_size": None, "model.stride": 32}
# A patch of the middle magnification covers its cell of 64 um, as a tile of that magnification does.
SCALES = {"model.patch_size": 32, "model.stride": 8}
COHORTS = {
    "crc-tiles": PanelCohort(_tiles, "tiles", 9, 7, every=FIELDS, fields=FIELDS),
    "three-scales": PanelCohort(
        _three_scales, "tiles", 3, 5, every=SCALES, fields={**SCALES, "model.magnifications": [2.0]}
    ),
    "glas": PanelCohort(_glas, "glas", 0, 1, "slides"),
    "scanners": PanelCohort(_scanners, None, 1, 10, "slides"),
    "mnist": PanelCohort(_mnist, "mnist", 0, 10, "slides"),
    "crc-tiles-40": PanelCohort(_few, "tiles", 9, 7, of="crc-tiles", every=FIELDS, fields=FIELDS),
    "crc-tiles-rare": PanelCohort(_rare, "tiles", 9, 7, of="crc-tiles", every=FIELDS, fields=FIELDS),
    "crc-tiles-texture": PanelCohort(_texture, "tiles", 9, 7, every=FIELDS, fields=FIELDS),
}
