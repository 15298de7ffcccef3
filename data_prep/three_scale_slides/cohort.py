"""Composes slides whose answer is written at one of three magnifications, from real colon tiles of two kinds.

The pyramid levels at 0.5, 2 and 8 um/px each show a mosaic of *stamps*, colon tiles reduced to 32 x 32 pixels, so that a patch of
32 pixels shows about one tile at each of these magnifications. A slide has a few *places* of one kind, fine, middle or coarse,
which show on the overview by their stain, in either class. All stamps are of healthy tiles, but for those in the places of a
slide of class `cancer`, at the magnification of their kind: there they are adenocarcinoma.

Each level is painted for itself: a real scanner's levels show the same tissue, and these differ on purpose. Only so is it
certain that a cue is seen at its magnification alone. (Where the three mosaics were added up in one image, the finest view told
most of the coarse cues, too, by the look of their details.) Stamps are standardised channel by channel and freed of what is
larger than an eighth of their side, so the overview tells where to look and not what is there.

    python -m data_prep.three_scale_slides TILES runs/three-scales

The tiles (224 x 224 pixels) lie in `training/AC`, `training/H`, `test/AC` and `test/H`. Test slides are made of test tiles;
training tiles are divided between training and validation slides.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.progress import track

from ats_mag.slides.writing.pyramid import write_pyramid
from data_prep.colon_tiles import MPP
from data_prep.composed_cohort import write_cohort
from data_prep.three_scale_slides.layout import CLASSES, KINDS, MAGNIFICATIONS, Cohort, plan
from data_prep.three_scale_slides.paint import CELL, paint

DOWNSAMPLES = (1, 4, 16, 64)


def make_cohort(tiles: Path, out: Path, cohort: Cohort, workers: int = 2) -> Iterator[str]:
    """Writes the slides, `manifest.csv` and `places.json` into `out`, and yields the slide ids as they are done.

    A slide that exists is kept, so that an interrupted run can be taken up again.

    Args:
        tiles: folder with `training` and `test`, each with the folders `AC` and `H` of tiles.
        out: folder to write; made where absent.
        cohort: how the slides are made.
        workers: processes.

    Raises:
        ValueError: a folder without tiles, tissue too small for its places, or an `out` that holds another cohort.
    """
    jobs = [
        (tiles, out, split, i, cohort)
        for split, number in (("train", cohort.train), ("validation", cohort.validation), ("test", cohort.test))
        for i in range(number)
    ]
    yield from write_cohort(out, cohort, jobs, _make_slide, workers)


def _make_slide(job: tuple[Path, Path, str, int, Cohort]) -> tuple[dict[str, str], dict[str, Any]]:
    """Writes one slide; its row of the manifest, and its record of places in level-0 pixels."""
    tiles, out, split, number, cohort = job
    slide_id, kind = f"{split}-{number:04d}", number % len(KINDS)
    label = CLASSES[number // len(KINDS) % len(CLASSES)]
    key = [cohort.seed, ("train", "validation", "test").index(split), number]
    plan_rng, paint_rng = (np.random.default_rng(seed) for seed in np.random.SeedSequence(key).spawn(2))
    slide = plan(kind, cohort, plan_rng)
    path = Path("slides") / f"{slide_id}.tiff"
    if not (out / path).exists():
        levels = paint(tiles, split, label, slide, cohort, paint_rng)
        shown = {round(mpp / MPP): level for mpp, level in zip(MAGNIFICATIONS, levels, strict=True)}

        def edit(downsample: int, level: np.ndarray) -> None:
            if downsample in shown:
                level[:] = shown[downsample]

        options: dict[str, Any] = {"quality": cohort.quality, "subsampling": (1, 1), "edit_level": edit}
        write_pyramid(out / path, levels[0], MPP, DOWNSAMPLES, **options)
    record = {
        "label": label,
        "kind": KINDS[kind],
        "tissue_cells": int(slide.tissue.sum()),
        "places": [
            {"kind": KINDS[p.kind], "x": p.column * CELL, "y": p.row * CELL, "side": p.side * CELL}
            for p in slide.places
        ],
    }
    row = {"slide_id": slide_id, "patient_id": slide_id, "path": str(path), "label": label}
    return row | {"mpp": str(MPP), "split": split}, record


def main(
    tiles: Annotated[Path, typer.Argument(help="Folder of the tiles: training/AC, training/H, test/AC, test/H.")],
    out: Annotated[Path, typer.Argument(help="Folder to write.")] = Path("runs/three-scales"),
    train: Annotated[int, typer.Option(min=0, help="Training slides.")] = Cohort().train,
    validation: Annotated[int, typer.Option(min=0, help="Validation slides.")] = Cohort().validation,
    test: Annotated[int, typer.Option(min=0, help="Test slides.")] = Cohort().test,
    seed: Annotated[int, typer.Option(min=0, help="Of everything that is drawn.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
) -> None:
    """Composes a cohort of slides whose answer is written at one of three magnifications."""
    cohort = Cohort(train=train, validation=validation, test=test, seed=seed)
    for _ in track(make_cohort(tiles, out, cohort, workers), "slides", total=train + validation + test):
        pass
