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

import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import typer
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field
from rich.progress import track

from ats_mag.slides.writing.pyramid import write_pyramid
from data_prep.composed_cohort import write_cohort

MPP = 0.5  # um/px of level 0
TILE = 224  # pixels
SPLITS = {"train": "training", "test": "test"}  # of the slides -> folder of the tiles
LABELS = {"healthy": "H", "cancer": "AC"}  # of a slide -> folder of the tiles in its places
LARGEST_PLACE_SHARE = 0.02  # of the tissue, all places of a slide together
GLASS = 243
DOWNSAMPLES = (1, 2, 4, 16, 112)

_INK = 8.0  # keeps the optical density of black finite
_DENSITY = -np.log((np.arange(256) + _INK) / (255 + _INK))


class Cohort(BaseModel):
    """How the slides are made.

    Attributes:
        train, test: slides of each split, half of them of either class.
        seed: of everything that is drawn.
        tissue_side: least and greatest side of the tissue, in tiles.
        places: places per slide.
        place_side: side of a place in tiles.
        mean_density, density_deviation: optical density of the stain, per channel (red, green, blue).
        place_density: factor of the mean density in a place, the same in both classes.
        slide_jitter, tile_jitter: deviation of the logarithm of mean and deviation, per slide and per tile.
        field: deviation of the smooth field's optical density.
        file_tile: side of a tile of the slides' files, in pixels: that of the squares they are composed of, or another.
        quality: of JPEG.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    train: int = Field(200, ge=0)
    test: int = Field(100, ge=0)
    seed: int = Field(0, ge=0)
    tissue_side: tuple[int, int] = (22, 26)
    places: int = Field(2, ge=1)
    place_side: int = Field(2, ge=1)
    mean_density: tuple[float, float, float] = (0.42, 0.72, 0.46)
    density_deviation: tuple[float, float, float] = (0.22, 0.30, 0.22)
    place_density: float = 1.45
    slide_jitter: float = 0.12
    tile_jitter: float = 0.06
    field: float = 0.12
    file_tile: int = Field(TILE, ge=16, le=2048, multiple_of=16)
    quality: int = Field(85, ge=1, le=100)


class Slide(NamedTuple):
    """A composed slide before it is painted.

    Attributes:
        tiles: `(R, C)` file names, "" on glass.
        places: `(row, column)` of the places' first tiles.
        inside_place: `(R, C)` bool.
    """

    tiles: np.ndarray
    places: list[tuple[int, int]]
    inside_place: np.ndarray


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


def compose(tiles: Path, split: str, label: str, cohort: Cohort, rng: np.random.Generator) -> Slide:
    """Chooses the shape of the tissue, the places and the tile of each square.

    The choices up to the tiles themselves do not depend on the label.
    """
    rows, columns = (int(v) for v in rng.integers(cohort.tissue_side[0], cohort.tissue_side[1] + 1, size=2))
    tissue = np.zeros((rows + 2, columns + 2), dtype=bool)  # one tile of glass all round
    ragged = columns // 12
    for row in range(1, rows + 1):
        left, right = rng.integers(0, ragged + 1, size=2)
        tissue[row, 1 + left : 1 + columns - right] = True
    side = cohort.place_side
    share = cohort.places * side**2 / tissue.sum()
    if share > LARGEST_PLACE_SHARE:
        raise ValueError(
            f"places would take {share:.1%} of the tissue, more than {LARGEST_PLACE_SHARE:.0%}: "
            "make the tissue larger or the places smaller"
        )
    inside_place = np.zeros_like(tissue)
    places: list[tuple[int, int]] = []
    for _ in range(10_000):
        if len(places) == cohort.places:
            break
        row, column = (int(v) for v in rng.integers(2, [rows - side + 1, columns - side + 1]))
        near = (slice(row - 1, row + side + 1), slice(column - 1, column + side + 1))
        if tissue[near].all() and not inside_place[near].any():
            inside_place[row : row + side, column : column + side] = True
            places.append((row, column))
    else:
        raise ValueError("the tissue has no room for the places: make it larger or the places fewer")
    healthy, content = tile_files(tiles, split, "H"), tile_files(tiles, split, LABELS[label])
    chosen = np.full(tissue.shape, "", dtype=object)
    for row, column in np.argwhere(tissue):
        draw = rng.random()  # one number per square, whichever kind it is taken from
        files = content if inside_place[row, column] else healthy
        chosen[row, column] = files[int(draw * len(files))]
    return Slide(chosen, places, inside_place)


@functools.lru_cache
def tile_files(tiles: Path, split: str, kind: str) -> tuple[str, ...]:
    """The tiles of a kind (AC or H), as paths relative to `tiles`, sorted."""
    folder = tiles / SPLITS[split] / kind
    found = sorted(f"{SPLITS[split]}/{kind}/{file.name}" for file in folder.glob("*.*"))
    if not found:
        raise ValueError(f"{str(folder)!r} holds no tiles")
    return tuple(found)


def paint(tiles: Path, slide: Slide, cohort: Cohort, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """The slide's tiles, row by row, stained: `(TILE, TILE, 3)` uint8.

    Every square takes the same number of random numbers, so a slide's stain does not depend on which tiles it has.
    """
    mean = np.array(cohort.mean_density) * np.exp(rng.normal(0, cohort.slide_jitter, 3))
    deviation = np.array(cohort.density_deviation) * np.exp(rng.normal(0, cohort.slide_jitter, 3))
    for name, dense in zip(slide.tiles.flat, slide.inside_place.flat, strict=True):
        jitter = np.exp(rng.normal(0, cohort.tile_jitter, (2, 3)))
        corners = rng.normal(0, cohort.field, (2, 2))
        turns, mirrored = int(rng.integers(4)), rng.random() < 0.5
        if not name:
            yield np.full((TILE, TILE, 3), GLASS, dtype=np.uint8)
            continue
        factor = cohort.place_density if dense else 1.0
        pixels = stain(tiles / name, mean * jitter[0] * factor, deviation * jitter[1], corners - corners.mean())
        pixels = np.rot90(pixels, turns)
        yield pixels[:, ::-1] if mirrored else pixels


def regroup(painted: Iterator[np.ndarray], columns: int, side: int) -> Callable[[int, int], np.ndarray]:
    """The painted squares, `columns` in a row, as a function (row, column) -> tile of `side` pixels.

    Tiles must be asked for row by row; no more than the rows of squares that they touch are held.
    """
    band, top = np.empty((0, columns * TILE, 3), np.uint8), 0

    def tile(row: int, column: int) -> np.ndarray:
        nonlocal band, top
        band, top = band[row * side - top :], row * side
        while len(band) < side:
            squares = [next(painted, None) for _ in range(columns)]
            if squares[0] is None:
                break
            band = np.concatenate([band, np.concatenate(squares, axis=1)])
        return band[:side, column * side : (column + 1) * side]

    return tile


def stain(file: Path, mean: np.ndarray, deviation: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """A tile whose optical density is brought to a given mean and deviation per channel.

    Args:
        file: of the tile.
        mean, deviation: `(3,)` of the optical density.
        corners: `(2, 2)` optical density to add at the tile's corners, bilinear between them.
    """
    pixels, own_mean, own_deviation = _read_tile(file)
    weight = np.linspace(0, 1, TILE, dtype=np.float32)
    weight = np.stack([1 - weight, weight])
    shade = np.exp(-(weight.T @ corners.astype(np.float32) @ weight))
    stained = np.empty(pixels.shape, dtype=np.uint8)
    for channel in range(3):
        # Both steps are affine in the density of single pixels: one table from old to new transmission.
        density = mean[channel] + deviation[channel] * (_DENSITY - own_mean[channel]) / own_deviation[channel]
        table = ((255 + _INK) * np.exp(-density)).astype(np.float32)
        stained[..., channel] = np.clip(table[pixels[..., channel]] * shade - _INK + 0.5, 0, 255)
    return stained


@functools.cache
def _read_tile(file: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A tile's pixels, and mean and deviation of its optical density per channel."""
    with Image.open(file) as image:
        pixels = np.asarray(image.convert("RGB"))
    if pixels.shape != (TILE, TILE, 3):
        raise ValueError(
            f"tile {str(file)!r} must be {TILE} x {TILE} pixels, and is {pixels.shape[1]} x {pixels.shape[0]}"
        )
    density = _DENSITY[pixels].reshape(-1, 3)
    return pixels, density.mean(0), density.std(0) + 1e-2


def _make_slide(job: tuple[str, str, str, int, str, Cohort]) -> tuple[dict[str, str], dict]:
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
    workers: Annotated[int, typer.Option(help="Processes.")] = 2,
) -> None:
    """Composes a cohort of slides whose informative places are known."""
    cohort = Cohort(train=train, test=test, seed=seed, file_tile=file_tile)
    for _ in track(make_cohort(tiles, out, cohort, workers), "slides", total=train + test):
        pass


if __name__ == "__main__":
    typer.run(main)
