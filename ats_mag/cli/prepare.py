"""Preparing records."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ats_mag.cli.console import OverviewMpp, SlideRoot, console, errors, show_error


def prepare(
    manifest: Annotated[Path, typer.Argument(help="CSV: slide_id, patient_id, path, label; optional mpp, split.")],
    out: Annotated[Path, typer.Argument(help="Folder of the records.")],
    slide_root: SlideRoot = Path("."),
    overview_mpp: OverviewMpp = "8.0",
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; default: one per CPU.")] = None,
    empty_mask: Annotated[
        str, typer.Option(help="A slide without tissue is an 'error', or look at the 'whole'.")
    ] = "error",
) -> None:
    """Writes one record per slide: overview, tissue mask, geometry and label, but no patches."""
    from rich.progress import track

    from ats_mag.manifest import read_manifest
    from ats_mag.preparation import prepare as run

    table = read_manifest(manifest)
    done = list(
        track(run(table, slide_root, out, overview_mpp, workers, empty_mask), "Preparing", len(table), console=errors)
    )
    failed = [p for p in done if p.error is not None]
    for p in sorted(failed, key=lambda p: p.slide_id):
        show_error(f"{p.slide_id}: {p.error}", "failed")
    sizes = [p.bytes for p in done if p.error is None]
    counts = ", ".join(f"{sum(p.status == s for p in done)} {s}" for s in ("written", "kept", "failed"))
    mean = f"; {sum(sizes) / len(sizes) / 1000:.1f} kB per slide" if sizes else ""
    console.print(f"{len(done)} slides: {counts}{mean}", highlight=False)
    if failed:
        raise typer.Exit(1)
