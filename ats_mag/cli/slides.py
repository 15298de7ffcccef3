"""Looking at the installation and at slide files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from ats_mag.cli.console import console
from ats_mag.cli.options import slide_mpp


def doctor() -> None:
    """Shows the versions and whether the slide reader, its threads and a GPU are there."""
    from ats_mag.slides.doctor import findings

    table = Table(show_header=False, box=None)
    sound = True
    for name, value, good in findings():
        sound = sound and good
        table.add_row(name, escape(value) if good else f"[red]{escape(value)}")
    console.print(table)
    if not sound:
        raise typer.Exit(1)


def info(
    slide: Annotated[Path, typer.Argument(help="A slide file.")],
    mpp: Annotated[
        str | None, typer.Option(help='Resolution of level 0, um/px or "20x", over the file\'s own.')
    ] = None,
) -> None:
    """Shows what a slide file says of itself."""
    from ats_mag.geometry.units import format_mpp
    from ats_mag.slides.properties import slide_info

    found = slide_info(slide, slide_mpp(mpp))
    table = Table(show_header=False, box=None)
    table.add_row("vendor", escape(found.vendor or "unknown"))
    table.add_row("size", "{} x {} px".format(*found.dimensions))
    if found.mpp is not None:
        table.add_row("resolution", escape(f"{format_mpp(found.mpp)}, from {found.mpp_source}"))
    else:
        table.add_row("resolution", f"[yellow]{escape(found.mpp_problem or 'unknown: give it as mpp')}")
    table.add_row("objective power", "not stated" if found.objective_power is None else f"{found.objective_power:g}")
    for level, (size, downsample) in enumerate(zip(found.level_dimensions, found.level_downsamples, strict=True)):
        at = "" if found.level_mpp is None else f", {found.level_mpp[level]:.4g} um/px"
        table.add_row(
            f"level {level}",
            escape(f"{size[0]} x {size[1]} px, downsample {downsample:.4g}{at}; reader: {found.level_readers[level]}"),
        )
    for page in found.other_pages:
        table.add_row("no level", escape(page))
    table.add_row("bounds", "x {}, y {}, {} x {} px".format(*found.bounds))
    table.add_row("background", "#{:02x}{:02x}{:02x}".format(*found.background))
    console.print(table, highlight=False)
