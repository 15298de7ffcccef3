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

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import pandas as pd
import tifffile
import typer
import yaml
from rich.progress import track
from scipy import ndimage
from skimage.transform import resize

from ats_mag.slides.writing.pyramid import write_pyramid

SIDE = 768.0  # um
CLASSES = ("normal", "tumour")
SMALL, LARGE = 2.2, 4.4  # um, radii of nuclei
COVERED = 0.06  # share of stroma and foci that nuclei cover
FOCUS = 120.0  # um, radius
_GRID = 4.0  # um, of the smooth fields
# Optical densities of a full stain, red, green and blue: Ruifrok & Johnston 2001, table of haematoxylin and eosin.
_HAEMATOXYLIN, _EOSIN = np.array([0.65, 0.70, 0.29]), np.array([0.07, 0.99, 0.11])


class Scanner(NamedTuple):
    """A make: um/px, levels, side of a tile, JPEG quality, and by how much it sees stains darker."""

    mpp: float
    downsamples: tuple[int, ...]
    tile: int
    quality: int
    gain: float


SCANNERS = {
    "a": Scanner(0.23, (1, 4, 16), 256, 85, 1.02),
    "b": Scanner(0.25, (1, 4, 16), 256, 90, 1.0),
    "c": Scanner(0.46, (1, 2, 4, 8), 512, 80, 0.98),
    "d": Scanner(0.5, (1, 4), 256, 90, 1.0),
}


class Tissue(NamedTuple):
    """What lies on the glass, in um: nuclei `(K, 2)` (row, column) with radii `(K,)`; eosin on a grid of 4 um."""

    nuclei: np.ndarray
    radii: np.ndarray
    eosin: np.ndarray


def grow(label: str, rng: np.random.Generator) -> Tissue:
    """A tissue of a class."""
    n = int(SIDE / _GRID)
    at = (np.mgrid[:n, :n] + 0.5) * _GRID
    angle = np.arctan2(at[0] - SIDE / 2, at[1] - SIDE / 2)
    phase = rng.uniform(0, 2 * np.pi, 3)
    outline = 0.40 + sum(0.03 * np.sin((k + 2) * angle + p) for k, p in enumerate(phase))
    tissue = np.hypot(at[0] - SIDE / 2, at[1] - SIDE / 2) < outline * SIDE
    turn = rng.uniform(0, 2 * np.pi)
    foci = np.zeros_like(tissue)
    for side in (0, np.pi):
        centre = SIDE / 2 + 0.2 * SIDE * np.array([np.sin(turn + side), np.cos(turn + side)])
        foci |= np.hypot(at[0] - centre[0], at[1] - centre[1]) < FOCUS
    smooth = ndimage.gaussian_filter(rng.standard_normal((n, n)), 5)
    eosin = np.where(tissue, 0.35 + 0.25 * foci + 0.5 * smooth, 0.0)
    nuclei, radii = [], []
    for where, radius in ((tissue & ~foci, SMALL), (foci & tissue, LARGE if label == "tumour" else SMALL)):
        cells = np.argwhere(where)
        count = int(len(cells) * _GRID**2 * COVERED / (np.pi * radius**2))
        nuclei.append((cells[rng.integers(len(cells), size=count)] + rng.random((count, 2))) * _GRID)
        radii.append(radius * rng.uniform(0.85, 1.15, count))
    return Tissue(np.concatenate(nuclei), np.concatenate(radii), ndimage.gaussian_filter(eosin, 1))


def scan(tissue: Tissue, scanner: Scanner) -> np.ndarray:
    """`(H, W, 3)` uint8 at the scanner's resolution."""
    side = round(SIDE / scanner.mpp)
    eosin = resize(tissue.eosin, (side, side), order=1).astype(np.float32)
    nuclei = np.zeros((side, side), np.float32)
    for (row, column), radius in zip(tissue.nuclei / scanner.mpp, tissue.radii / scanner.mpp, strict=True):
        top, left = (max(int(c - radius - 1), 0) for c in (row, column))
        rows, columns = (np.arange(a, min(int(c + radius + 2), side)) + 0.5 for a, c in ((top, row), (left, column)))
        distance = np.hypot(rows[:, None] - row, columns - column)
        view = nuclei[top : top + len(rows), left : left + len(columns)]
        np.maximum(view, np.clip(radius - distance + 0.5, 0, 1), out=view)  # its edge covers pixels in part
    image = np.empty((side, side, 3), np.uint8)
    for channel in range(3):
        density = scanner.gain * (_EOSIN[channel] * eosin + _HAEMATOXYLIN[channel] * nuclei)
        image[..., channel] = np.rint(255 * np.exp(-density))
    return image


def write(path: Path, tissue: Tissue, scanner: Scanner) -> None:
    """Scans a tissue into a file."""
    image = scan(tissue, scanner)
    write_pyramid(path, image, scanner.mpp, scanner.downsamples, scanner.tile, quality=scanner.quality)


# ---- mishaps: each takes a sound slide's path ----


def _cut(path: Path, share: float) -> None:
    os.truncate(path, int(path.stat().st_size * share))


def _zero_tiles(path: Path) -> None:
    with tifffile.TiffFile(path) as tiff:
        tiles = [pair for page in tiff.pages for pair in zip(page.dataoffsets, page.databytecounts, strict=True)]
    with path.open("r+b") as file:
        for offset, count in tiles:
            file.seek(offset)
            file.write(bytes(count))


def _replace(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _picture(path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (300, 200), "pink").save(path, format="png")


def forget_resolution(path: Path) -> None:
    """Takes the unit of the resolution out of a file."""
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        for page in tiff.pages:
            page.tags["ResolutionUnit"].overwrite(1)


MISHAPS: dict[str, Callable[[Path], object]] = {
    "missing": Path.unlink,
    "empty": lambda path: _replace(path, b""),
    "text": lambda path: _replace(path, b"the slide is on the other disk\n"),
    "header only": lambda path: os.truncate(path, 100),
    "cut in half": lambda path: _cut(path, 0.5),
    "tiles zeroed": _zero_tiles,
    "a folder": _folder,
    "no tissue": lambda path: write_pyramid(path, np.full((2000, 2000, 3), 250, np.uint8), 0.5, (1, 4)),
    "a picture": _picture,
    "absurd resolution": lambda path: write_pyramid(path, np.full((2000, 2000, 3), 180, np.uint8), 200.0, (1, 4)),
}
UNKNOWN_RESOLUTION = "no resolution"


class Job(NamedTuple):
    slide_id: str
    label: str
    scanner: str
    seed: tuple[int, int]  # of the tissue
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
        jobs.append(Job(f"{split}-{i:03d}", CLASSES[i % 2], scanner, (seed, i), split, mishap))
    for i in range(test):
        for scanner in ("b", "d"):
            jobs.append(Job(f"test-{i:03d}-{scanner}", CLASSES[i % 2], scanner, (seed + 1, i), "test", ""))
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
    "prepare": {"overview_mpp": 8.0, "on_bad_slide": "skip"},
    "model": {"magnifications": [1.0, 2.0], "patch_size": 64, "n_patches": 8, "stride": 4},
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


if __name__ == "__main__":
    typer.run(main)
