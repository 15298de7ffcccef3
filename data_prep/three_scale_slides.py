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

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field
from rich.progress import track
from scipy.ndimage import gaussian_filter

from ats_mag.cli.script import run_script
from ats_mag.slides.writing.pyramid import write_pyramid
from data_prep.composed_cohort import write_cohort
from data_prep.synthetic_slides import GLASS, MPP, TILE, tile_files

KINDS = ("fine", "middle", "coarse")
CLASSES = ("healthy", "cancer")
MAGNIFICATIONS = (0.5, 2.0, 8.0)  # um/px at which each kind's cue is seen
STAMP = 32  # pixels, at its magnification
CELL = 128  # level-0 pixels: a stamp of the middle band
DOWNSAMPLES = (1, 4, 16, 64)
VALIDATION_SHARE = 0.15  # of the training tiles
REDUCTION = TILE // STAMP
_HIGH_PASS = 4  # pixels of a stamp
_INK = 8.0


class Cohort(BaseModel):
    """How the slides are made.

    Attributes:
        train, validation, test: slides of each split, kinds and classes in turn.
        seed: of everything that is drawn.
        tissue_side: least and greatest side of the tissue, in cells of 64 um.
        places: places per slide.
        place_side: side of a fine, a middle and a coarse place, in cells.
        mean_density: optical density of the stain, per channel (red, green, blue).
        band_density: deviation of the optical density of the stamps, per channel.
        tint: factor of the mean density in the places of each kind, per channel.
        slide_jitter: deviation of the logarithm of a slide's mean density, per channel.
        quality: of JPEG.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    train: int = Field(720, ge=0)
    validation: int = Field(120, ge=0)
    test: int = Field(120, ge=0)
    seed: int = Field(0, ge=0)
    tissue_side: tuple[int, int] = (15, 17)
    places: int = Field(3, ge=1)
    place_side: tuple[int, int, int] = (4, 4, 5)
    mean_density: tuple[float, float, float] = (0.36, 0.85, 0.45)
    band_density: tuple[float, float, float] = (0.18, 0.24, 0.18)
    tint: tuple[tuple[float, float, float], ...] = ((2.0, 1.2, 1.2), (1.2, 2.0, 1.2), (1.2, 1.2, 2.2))
    slide_jitter: float = 0.07
    quality: int = Field(85, ge=1, le=100)


class Place(NamedTuple):
    """A square of one kind: first row and column, and side, in cells."""

    kind: int
    row: int
    column: int
    side: int


class Plan(NamedTuple):
    """A slide before it is painted: `tissue` `(R, C)` bool in cells, and the places."""

    tissue: np.ndarray
    places: list[Place]


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


def plan(kind: int, cohort: Cohort, rng: np.random.Generator) -> Plan:
    """Chooses the shape of the tissue and the places, of one kind; the class is not known here."""
    rows, columns = (int(v) for v in rng.integers(cohort.tissue_side[0], cohort.tissue_side[1] + 1, size=2))
    tissue = np.zeros((rows + 2, columns + 2), dtype=bool)  # one cell of glass all round
    ragged = columns // 10
    for row in range(1, rows + 1):
        left, right = rng.integers(0, ragged + 1, size=2)
        tissue[row, 1 + left : 1 + columns - right] = True
    for _ in range(100):
        places = _lay(tissue, kind, cohort, rng)
        if places is not None:
            return Plan(tissue, places)
    raise ValueError("the tissue has no room for the places: make it larger or the places fewer")


def _lay(tissue: np.ndarray, kind: int, cohort: Cohort, rng: np.random.Generator) -> list[Place] | None:
    """Places that do not touch, or None where one after the other did not find room."""
    free, side = tissue.copy(), cohort.place_side[kind]
    places: list[Place] = []
    while len(places) < cohort.places:
        fits = np.argwhere(np.lib.stride_tricks.sliding_window_view(free, (side, side)).all((2, 3)))
        if not len(fits):
            return None
        row, column = (int(v) for v in fits[rng.integers(len(fits))])
        free[row - 1 : row + side + 1, column - 1 : column + side + 1] = False
        places.append(Place(kind, row, column, side))
    return places


def paint(
    tiles: Path, split: str, label: str, slide: Plan, cohort: Cohort, rng: np.random.Generator
) -> list[np.ndarray]:
    """The slide at each of `MAGNIFICATIONS`, `(h, w, 3)` uint8."""
    stain = np.empty((*slide.tissue.shape, 3), np.float32)
    stain[:] = np.array(cohort.mean_density) * np.exp(rng.normal(0, cohort.slide_jitter, 3))
    for place in slide.places:
        stain[_pixels(place, 1)] *= np.array(cohort.tint[place.kind], np.float32)
    levels = []
    for band, magnification in enumerate(MAGNIFICATIONS):
        cell = round(CELL * MPP / magnification)
        shape = tuple(side * cell for side in slide.tissue.shape)
        density = _enlarged(stain, cell)
        density += np.array(cohort.band_density, np.float32) * _texture(tiles, split, label, slide, band, shape, rng)
        pixels = (255 + _INK) * np.exp(-np.maximum(density, 0.02)) - _INK
        pixels[~_enlarged(slide.tissue, cell)] = GLASS
        levels.append(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))
    return levels


def _enlarged(image: np.ndarray, factor: int) -> np.ndarray:
    return np.repeat(np.repeat(image, factor, 0), factor, 1)


def _texture(
    tiles: Path, split: str, label: str, slide: Plan, band: int, shape: tuple[int, ...], rng: np.random.Generator
) -> np.ndarray:
    """The mosaic of a magnification, `(*shape, 3)` float32 of mean 0 and deviation 1."""
    texture = _mosaic(stamps(tiles, split, "H"), shape, rng)
    cell = round(CELL * MPP / MAGNIFICATIONS[band])
    for place in slide.places:
        if place.kind == band:  # laid anew in every class, so that only the stamps differ
            kind = "AC" if label == "cancer" else "H"
            texture[_pixels(place, cell)] = _mosaic(stamps(tiles, split, kind), (place.side * cell,) * 2, rng)
    return texture


def _mosaic(stamps: np.ndarray, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Stamps side by side, turned and mirrored at random, `(*shape, 3)`; one of them in the middle."""
    rows, columns = (-(-side // STAMP) for side in shape)
    chosen = stamps[rng.integers(len(stamps), size=rows * columns)]
    for number, turns in enumerate(rng.integers(8, size=len(chosen))):
        turned = np.rot90(chosen[number], turns % 4)
        chosen[number] = turned[:, ::-1] if turns > 3 else turned
    laid = chosen.reshape(rows, columns, STAMP, STAMP, 3).swapaxes(1, 2).reshape(rows * STAMP, columns * STAMP, 3)
    top, left = (laid.shape[0] - shape[0]) // 2, (laid.shape[1] - shape[1]) // 2
    return laid[top : top + shape[0], left : left + shape[1]]


@functools.lru_cache
def stamps(tiles: Path, split: str, kind: str) -> np.ndarray:
    """The tiles of a kind (AC or H) that a split is made of, as stamps `(n, 32, 32, 3)` float32."""
    files = tile_files(tiles, "test" if split == "test" else "train", kind)
    first = round(len(files) * (1 - VALIDATION_SHARE))
    files = {"train": files[:first], "validation": files[first:], "test": files}[split]
    found = []
    for file in files:
        with Image.open(tiles / file) as image:
            pixels = np.asarray(image.convert("RGB"), np.float32)
        density = -np.log((pixels + _INK) / (255 + _INK))
        stamp = density.reshape(STAMP, REDUCTION, STAMP, REDUCTION, 3).mean((1, 3))
        stamp = stamp - gaussian_filter(stamp, (_HIGH_PASS, _HIGH_PASS, 0), mode="reflect")
        found.append((stamp - stamp.mean((0, 1))) / (stamp.std((0, 1)) + 0.02))
    return np.array(found, np.float32)


def _pixels(place: Place, cell: int) -> tuple[slice, slice]:
    """Rows and columns of a place in an image whose cells are so many pixels wide."""
    return tuple(slice(first * cell, (first + place.side) * cell) for first in (place.row, place.column))  # type: ignore[return-value]


def _make_slide(job: tuple[Path, Path, str, int, Cohort]) -> tuple[dict[str, str], dict]:
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


if __name__ == "__main__":
    run_script(main)
