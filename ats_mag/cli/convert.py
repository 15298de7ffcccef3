"""Converting flat images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ats_mag.cli.console import errors, say, show_error

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
        int | None, typer.Option(help="Value of white in images of 16 bits per channel: 65535, 4095, ...")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Write slides whatever is there under their names.")
    ] = False,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; default: one per CPU.")] = None,
) -> None:
    """Turns flat images into tiled slides that keep their pixels and state their resolution."""
    from rich.progress import track

    from ats_mag.geometry.units import parse_slide_mpp
    from ats_mag.slides.writing.flat_many import Conversion, convert_images, find_images, slide_names

    slides = slide_names(find_images(images), out)
    options = Conversion(None if mpp is None else parse_slide_mpp(mpp), lossless, white, overwrite)
    done = track(convert_images(slides, options, workers), "Converting", len(slides), console=errors)
    if not report_converted(done):
        raise typer.Exit(1)


def report_converted(done: Iterable[Converted]) -> bool:
    """Says what became of the images; whether all were converted."""
    from ats_mag.geometry.units import format_mpp

    results = sorted(done, key=lambda converted: converted.image)
    failed = [converted for converted in results if converted.error is not None]
    for converted in failed:
        show_error(converted.error or "", "failed")
    counts = ", ".join(f"{sum(c.status == s for c in results)} {s}" for s in ("written", "kept", "failed"))
    say(f"{len(results)} images: {counts}")
    sources = Counter((format_mpp(c.mpp), c.mpp_source) for c in results if c.error is None)
    for (resolution, source), count in sources.most_common(5):
        say(f"{count} at {resolution}, from {source}")
    return not failed
