"""Many flat images to slides: in parallel, going on where it was stopped, past images that cannot be used."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ats_mag.slides.writing.flat import SUFFIXES, Converted, convert_image
from ats_mag.system.atomic_files import is_of_the_disk
from ats_mag.system.open_files import limit_behind
from ats_mag.system.processes import run_in_processes


@dataclass(frozen=True)
class Conversion:
    """How images are converted; see `convert_image`."""

    mpp: float | None = None
    lossless: bool = False
    white: int | None = None
    overwrite: bool = False


def find_images(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """The images among files and, for folders, directly in them, sorted; a file counts whatever it is called.

    Raises:
        FileNotFoundError: a path does not exist, or a folder holds no image.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
            if not inside:
                raise FileNotFoundError(f"folder {str(path)!r} holds no image ({', '.join(SUFFIXES)})")
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise FileNotFoundError(f"image {str(path)!r} does not exist")
    return found


def slide_names(images: Iterable[Path], out: str | os.PathLike[str]) -> dict[Path, Path]:
    """The slide of every image: `OUT/STEM.tiff`.

    Raises:
        ValueError: two images of the same stem.
    """
    slides: dict[Path, Path] = {}
    for image in images:
        slide = Path(out) / f"{image.stem}.tiff"
        if slide in slides:
            raise ValueError(
                f"images {str(slides[slide])!r} and {str(image)!r} would become the same slide {str(slide)!r}: "
                "rename one, or convert them into two folders"
            )
        slides[slide] = image
    return {image: slide for slide, image in slides.items()}


def convert_images(slides: dict[Path, Path], options: Conversion, workers: int | None = None) -> Iterator[Converted]:
    """Converts every image to its slide, and yields what became of each as it is done.

    Args:
        slides: image -> slide, see `slide_names`.
        options: the same for all.
        workers: processes. None: one per CPU.

    Raises:
        OSError: the disk of the slides is full, or takes nothing: no other image would fare better.
        TooManyOpenFiles: no more files can be opened, which is no fault of an image.
    """
    jobs = [(image, slide, options) for image, slide in slides.items()]
    if len(jobs) <= 1:
        yield from map(_convert, jobs)
        return
    for _, converted in run_in_processes(_convert, jobs, workers or os.cpu_count() or 1, _given_up):
        yield converted


_Job = tuple[Path, Path, Conversion]


def _convert(job: _Job) -> Converted:
    image, slide, options = job
    try:
        return convert_image(image, slide, options.mpp, options.lossless, options.white, options.overwrite)
    except (OSError, ValueError, RuntimeError, MemoryError) as error:
        if limit_behind(error) is not None or (isinstance(error, OSError) and is_of_the_disk(error)):
            raise
        return _failed(image, slide, str(error))


def _given_up(job: _Job, how: str, died: bool) -> Converted:
    image, slide, _ = job
    return _failed(image, slide, f"image {str(image)!r} cannot be converted: the process that read it died ({how})")


def _failed(image: Path, slide: Path, error: str) -> Converted:
    return Converted(image, slide, "failed", float("nan"), "", error=error)
