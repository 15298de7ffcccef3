"""Converting flat images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ats_mag.cli.console import errors, say, show_error
from ats_mag.cli.options import slide_mpp
from ats_mag.cli.slide_progress import show_failures

if TYPE_CHECKING:
    from ats_mag.slides.writing.flat import Converted


def convert(
    images: Annotated[list[Path], typer.Argument(help="PNG, JPEG, BMP or flat TIFF files, or folders of such files.")],
    out: Annotated[Path, typer.Option(help="Folder of the slides, IMAGE.tiff each.")],
    mpp: Annotated[
        str | None, typer.Option(help='Resolution of the images, um/px or "20x"; default: what a TIFF file states.')
    ] = None,
    lossless: Annotated[
        bool, typer.Option("--lossless", help="Deflate instead of JPEG of quality 95; slower to read.")
    ] = False,
    white: Annotated[
        int | None, typer.Option(min=1, help="Value of white in images of 16 bits per channel: 65535, 4095, ...")
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(
            help="Table of the slides to write (CSV), for `data.manifest`: of images from several folders, these are the labels."
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Write slides whatever is there under their names.")
    ] = False,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; default: one per CPU.")] = None,
) -> None:
    """Turns flat images into tiled slides that keep their pixels and state their resolution."""
    from rich.progress import track

    from ats_mag.slides.writing.flat_many import Conversion, convert_images, find_images, slide_names

    slides = slide_names(find_images(images), out)
    options = Conversion(slide_mpp(mpp), lossless, white, overwrite)
    if manifest is not None and manifest.suffix.lower() != ".csv":  # which a slide's name never ends in
        raise ValueError(f"--manifest {str(manifest)!r} is no name for the table, which is CSV: end it in .csv")
    if manifest is not None and manifest.exists():
        raise FileExistsError(f"{str(manifest)!r} exists already: give another name, or remove it first")
    done = track(convert_images(slides, options, workers), "Converting", len(slides), console=errors)
    sound = report_converted(done)
    if manifest is not None and sound:
        _write_manifest(slides, manifest)
    elif manifest is not None:
        show_error("no manifest was written: mend or remove these images, then run the same command again")
    if not sound:
        raise typer.Exit(1)


def _write_manifest(slides: dict[Path, Path], manifest: Path) -> None:
    from ats_mag.slides.writing.flat_manifest import manifest_of
    from ats_mag.system.atomic_files import write_whole

    table = manifest_of(slides)
    manifest.parent.mkdir(parents=True, exist_ok=True)
    write_whole(manifest, table.to_csv(index=False).encode())
    labels = ", ".join(sorted(set(table["label"]))) if table["label"].any() else "to be filled in"
    say(f"wrote {manifest}; labels: {labels}; add a column patient_id where patients have several images")


def report_converted(done: Iterable[Converted]) -> bool:
    """Says what became of the images; whether all were converted."""
    from ats_mag.geometry.units import format_mpp

    results = sorted(done, key=lambda converted: converted.image)
    failed = [(str(converted.image), converted.error) for converted in results if converted.error is not None]
    show_failures(failed, None, named=True)
    counts = ", ".join(f"{sum(c.status == s for c in results)} {s}" for s in ("written", "kept", "failed"))
    say(f"{len(results)} images: {counts}")
    sources = Counter((format_mpp(c.mpp), c.mpp_source + c.overruled) for c in results if c.error is None)
    for (resolution, source), count in sources.most_common(5):
        say(f"{count} at {resolution}, from {source}")
    return not failed
