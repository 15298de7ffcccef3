"""Megapixel MNIST: large black images with five digits, three of one class, which is the image's label.

    python -m data_prep.megapixel_mnist mnist.npz runs/megapixel --side 500 --scale 0.2 --no-noise
    python -m data_prep.megapixel_mnist mnist.npz runs/megapixel-1500 --side 1500 --scale 0.12

The data set of Katharopoulos & Fleuret, "Processing Megapixel Images with Deep Attention-Sampling Models" (ICML 2019,
section 4.2): the digits do not overlap, and with noise 50 scribbles, pairs of straight lines, lie about. The small images are
the large ones resized with anti-aliasing. Training images are made of MNIST's training digits, test images of its test digits.

`train.npz` and `test.npz` hold what is not black: `value` uint8 of all pixels, their `index` within an image, `begin` and one
more, where each image begins, for `high_*` and `low_*`; `label`; `digits` `(n, 5, 2)` (row, column) of the digits' corners; and
`side` and `low_side`. `experiments/megapixel/reference/images.py` reads them.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.progress import track
from skimage.draw import line
from skimage.transform import resize

from ats_mag.cli.script import run_script

DIGIT = 28  # pixels
SAME, OTHER = 3, 2  # digits of the image's class, and of other classes
SCRIBBLES = 50
LEAST_SIDE = 138  # pixels; wherever four digits lie, they leave place for a fifth: (138 - 27)^2 > 4 (2 x 28 - 1)^2


def draw_scribbles(rng: np.random.Generator) -> np.ndarray:
    """`(50, 28, 28)` uint8: two straight lines from edge to edge each, of uneven brightness."""
    found = np.zeros((SCRIBBLES, DIGIT, DIGIT))
    for scribble in found:
        for _ in range(2):
            ends = rng.integers(0, DIGIT, 2)
            (top, bottom), flip = ends, rng.random() < 0.5
            rows, columns = line(0, top, DIGIT - 1, bottom)
            scribble[(columns, rows) if flip else (rows, columns)] = 1
    return np.round(255 * found * rng.uniform(0.8, 1, found.shape)).astype(np.uint8)


def place_digits(side: int, rng: np.random.Generator) -> np.ndarray:
    """Corners of digits that do not overlap, `(5, 2)` (row, column), in an image of `LEAST_SIDE` or more."""
    corners = np.empty((0, 2), int)
    while len(corners) < SAME + OTHER:
        corner = rng.integers(0, side - DIGIT + 1, 2)
        if not (np.abs(corners - corner) < DIGIT).all(axis=1).any():
            corners = np.concatenate([corners, corner[None]])
    return corners


def make_image(
    digits: np.ndarray, labels: np.ndarray, scribbles: np.ndarray | None, side: int, rng: np.random.Generator
) -> tuple[np.ndarray, int, np.ndarray]:
    """One image `(side, side)` uint8, its label, and the corners of its digits."""
    label = int(rng.integers(10))
    same = rng.choice(np.flatnonzero(labels == label), SAME, replace=False)
    other = rng.choice(np.flatnonzero(labels != label), OTHER, replace=False)
    image = np.zeros((side, side), np.uint8)
    if scribbles is not None:  # below the digits
        for pattern, (row, column) in zip(
            rng.integers(0, SCRIBBLES, SCRIBBLES), rng.integers(0, side - DIGIT + 1, (SCRIBBLES, 2)), strict=True
        ):
            image[row : row + DIGIT, column : column + DIGIT] = scribbles[pattern]
    corners = place_digits(side, rng)
    for number, (row, column) in zip([*same, *other], corners, strict=True):
        image[row : row + DIGIT, column : column + DIGIT] = digits[number]
    return image, label, corners


def _sparse(images: list[np.ndarray], name: str) -> dict[str, np.ndarray]:
    flat = [image.ravel() for image in images]
    index = [np.flatnonzero(pixels).astype(np.int32) for pixels in flat]
    return {
        f"{name}_begin": np.cumsum([0, *map(len, index)]),
        f"{name}_index": np.concatenate(index),
        f"{name}_value": np.concatenate([pixels[i] for pixels, i in zip(flat, index, strict=True)]),
    }


def write_images(
    path: Path, digits: np.ndarray, labels: np.ndarray, n: int, side: int, scale: float, noise: bool, seed: list[int]
) -> None:
    """Writes n images, unless the file is there.

    Raises:
        ValueError: it is, with images of other settings.
    """
    settings = json.dumps({"n": n, "side": side, "scale": scale, "noise": noise, "seed": seed})
    if path.exists():
        with np.load(path) as data:
            if str(data["settings"]) != settings:
                raise ValueError(f"{str(path)!r} holds images of other settings: choose another folder, or remove it")
        return
    low_side = int(side * scale)
    scribbles = draw_scribbles(np.random.default_rng(seed[:1])) if noise else None
    high, low, found, corners = [], [], [], []
    for i in track(range(n), path.stem):
        image, label, places = make_image(digits, labels, scribbles, side, np.random.default_rng([*seed, i]))
        small = resize(image / 255, (low_side, low_side), order=1, anti_aliasing=True)
        high.append(image)
        low.append(np.round(255 * small).astype(np.uint8))
        found.append(label)
        corners.append(places)
    unfinished = path.with_name(f".{path.name}.tmp.npz")
    np.savez_compressed(
        unfinished, **_sparse(high, "high"), **_sparse(low, "low"), label=np.array(found), digits=np.array(corners),
        side=side, low_side=low_side, settings=settings,
    )  # fmt: skip
    os.replace(unfinished, path)


def main(
    mnist: Annotated[Path, typer.Argument(help="MNIST as Keras keeps it: x_train, y_train, x_test, y_test.")],
    out: Annotated[Path, typer.Argument(help="Folder to write; one per choice of options.")] = Path("runs/megapixel"),
    train: Annotated[int, typer.Option(min=1, help="Training images.")] = 5000,
    test: Annotated[int, typer.Option(min=1, help="Test images.")] = 1000,
    side: Annotated[int, typer.Option(min=LEAST_SIDE, help="Of the large images, pixels.")] = 1500,
    scale: Annotated[float, typer.Option(min=0.01, max=1, help="Of the small images.")] = 0.12,
    noise: Annotated[bool, typer.Option(help="Scribbles that are no digits.")] = True,
    seed: Annotated[int, typer.Option(min=0, help="Of everything that is drawn.")] = 0,
) -> None:
    """Makes the images."""
    if not mnist.is_file():
        raise FileNotFoundError(
            f"{str(mnist)!r} does not exist: give the file mnist.npz with x_train, y_train, x_test, y_test"
        )
    out.mkdir(parents=True, exist_ok=True)
    with np.load(mnist) as data:
        for number, (name, n) in enumerate({"train": train, "test": test}.items()):
            write_images(
                out / f"{name}.npz", data[f"x_{name}"], data[f"y_{name}"], n, side, scale, noise, [seed, number]
            )


if __name__ == "__main__":
    run_script(main)
