"""Composes slides whose informative places are known, from colon tiles of two kinds.

The tiles (224 x 224 pixels; folders `training/AC`, `training/H`, `test/AC`, `test/H`; AC: adenocarcinoma, H: healthy)
become pyramids of `MPP` um/px: a piece of tissue of healthy tiles on white glass, and in it a few *places*, blocks of
tiles that are stained more densely. In a slide of class `cancer` the places hold AC tiles, in one of class `healthy` H
tiles. So every slide has places that its overview shows, and only what lies in them tells the class. Slides of the split
`train` are made of training tiles alone, slides of the split `test` of test tiles alone.

Stain would give the class away: the mean colour of a raw tile does so with an AUC of about 0.94. So each tile's optical
density is first standardised channel by channel to mean 0 and deviation 1, then stained anew with a mean and a deviation
that vary from slide to slide and from tile to tile, the same way for both kinds; a smooth random field, added to the
density, drowns what is left of a tile's architecture at the overview's resolution.

    python -m data_prep.synthetic_slides TILES runs/crc-tiles --train 200 --test 100 --seed 0
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.progress import track

from ats_mag.slides.writing.pyramid import write_pyramid
from data_prep.colon_tiles import MPP, SPLITS, TILE
from data_prep.composed_cohort import write_cohort
from data_prep.synthetic_slides.layout import LABELS, Cohort, compose
from data_prep.synthetic_slides.paint import paint, regroup

DOWNSAMPLES = (1, 2, 4, 16, 112)


def make_cohort(tiles: Path, out: Path, cohort: Cohort, workers: int = 2) -> Iterator[str]:
    """Writes the slides, `manifest.csv` and `places.json` into `out`, and yields the slide ids as they are done.

    A slide that exists is kept, so that an interrupted run can be taken up again: use one folder per `Cohort`.

    Args:
        tiles: folder with `training` and `test`, each with the folders `AC` and `H` of tiles.
        out: folder to write; made where absent.
        cohort: how the slides are made.
        workers: processes.

    Raises:
        ValueError: a folder without tiles, tissue too small for its places, or an `out` that holds another cohort.
    """
    jobs = []
    for split, number in (("train", cohort.train), ("test", cohort.test)):
        for i in range(number):
            label = list(LABELS)[i % 2]
            jobs.append((str(tiles), str(out), split, i, label, cohort))
    yield from write_cohort(out, cohort, jobs, _make_slide, workers)


def _make_slide(job: tuple[str, str, str, int, str, Cohort]) -> tuple[dict[str, str], dict[str, Any]]:
    """Writes one slide; its row of the manifest, and its record of places."""
    tiles, out, split, number, label, cohort = Path(job[0]), Path(job[1]), *job[2:]
    slide_id = f"{split}-{number:04d}"
    layout_seed, stain_seed = np.random.SeedSequence([cohort.seed, list(SPLITS).index(split), number]).spawn(2)
    slide = compose(tiles, split, label, cohort, np.random.default_rng(layout_seed))
    path = Path("slides") / f"{slide_id}.tiff"
    if not (out / path).exists():
        painted = paint(tiles, slide, cohort, np.random.default_rng(stain_seed))
        rows, columns = slide.tiles.shape
        write_pyramid(
            out / path,
            regroup(painted, columns, cohort.file_tile),
            MPP,
            [downsample for downsample in DOWNSAMPLES if cohort.file_tile % downsample == 0],
            tile=cohort.file_tile,
            quality=cohort.quality,
            shape=(rows * TILE, columns * TILE),
        )
    side = cohort.place_side
    record = {
        "label": label,
        "tissue_tiles": int((slide.tiles != "").sum()),
        "places": [
            {
                "x": column * TILE,
                "y": row * TILE,
                "side": side * TILE,
                "tiles": [list(names) for names in slide.tiles[row : row + side, column : column + side]],
            }
            for row, column in slide.places
        ],
    }
    row = {"slide_id": slide_id, "patient_id": slide_id, "path": os.fspath(path), "label": label}
    return row | {"mpp": str(MPP), "split": split}, record


def main(
    tiles: Annotated[Path, typer.Argument(help="Folder of the tiles: training/AC, training/H, test/AC, test/H.")],
    out: Annotated[Path, typer.Argument(help="Folder to write.")] = Path("runs/crc-tiles"),
    train: Annotated[int, typer.Option(help="Training slides.")] = 200,
    test: Annotated[int, typer.Option(help="Test slides.")] = 100,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 0,
    file_tile: Annotated[int, typer.Option(help="Side of a tile of the files, in pixels.")] = TILE,
    place_density: Annotated[
        float, typer.Option(min=0.1, help="How much darker places are stained; at 1 only their texture tells them.")
    ] = Cohort().place_density,
    workers: Annotated[int, typer.Option(help="Processes.")] = 2,
) -> None:
    """Composes a cohort of slides whose informative places are known."""
    cohort = Cohort(train=train, test=test, seed=seed, file_tile=file_tile, place_density=place_density)
    for _ in track(make_cohort(tiles, out, cohort, workers), "slides", total=train + test):
        pass
