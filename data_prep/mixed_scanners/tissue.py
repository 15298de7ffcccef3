"""Tissues described in micrometres, and how a scanner sees them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
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
HAEMATOXYLIN, EOSIN = np.array([0.65, 0.70, 0.29]), np.array([0.07, 0.99, 0.11])


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
        density = scanner.gain * (EOSIN[channel] * eosin + HAEMATOXYLIN[channel] * nuclei)
        image[..., channel] = np.rint(255 * np.exp(-density))
    return image


def write(path: Path, tissue: Tissue, scanner: Scanner) -> None:
    """Scans a tissue into a file."""
    image = scan(tissue, scanner)
    write_pyramid(path, image, scanner.mpp, scanner.downsamples, scanner.tile, quality=scanner.quality)
