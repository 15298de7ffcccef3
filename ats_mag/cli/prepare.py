"""Preparing records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ats_mag.cli.console import console, errors, show_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ats_mag.preparation import Prepared

_SHOWN = 10  # failed slides that are named on the terminal; all are in the table


def prepare(
    config: Annotated[Path, typer.Argument(help="The run's configuration (YAML); `ats-mag init` writes one.")],
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes, over prepare.workers; default: one per processor.")
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(help="Address of a Dask scheduler to give the work to, such as tcp://HOST:8786."),
    ] = None,
) -> None:
    """Writes one record per slide: overview, tissue mask, geometry and label, but no patches.

    Run it again after any interruption or change: what is done and up to date is kept.
    """
    from ats_mag.config import read_config
    from ats_mag.manifest import load_manifest
    from ats_mag.preparation import prepare as run
    from ats_mag.preparation import unlisted_records
    from ats_mag.run_folder import start_run
    from ats_mag.splits import load_splits

    settings = read_config(config)
    manifest = load_manifest(settings)
    start_run(settings, manifest, load_splits(settings, manifest))
    asked = settings.prepare
    slides = run(
        manifest,
        settings.data.slides,
        settings.records,
        asked.overview_mpp,
        workers or asked.workers,
        asked.empty_mask,
        scheduler or asked.scheduler,
        settings.data.default_mpp,
        asked.sheets,
        settings.model.stride,
        asked.minutes_per_slide,
    )
    done = _watched(slides, len(manifest))
    _summarise(done, settings.records, asked.sheets)
    unlisted = unlisted_records(settings.records, manifest["slide_id"])
    if unlisted:
        more = f" and {len(unlisted) - _SHOWN} more" if len(unlisted) > _SHOWN else ""
        show_error(
            f"{len(unlisted)} records are of slides that are not in the manifest: {', '.join(unlisted[:_SHOWN])}{more}; "
            f"they stay in {settings.records} and are not used",
            "note",
        )
    if done and all(p.error is not None for p in done):
        show_error("not one slide could be prepared: nothing can be trained on them")
        raise typer.Exit(1)
    if asked.on_bad_slide == "raise" and any(p.error is not None for p in done):
        show_error(
            "not all slides could be prepared: mend them, take them out of the manifest, or set "
            "`prepare.on_bad_slide: skip`, and run the command again"
        )
        raise typer.Exit(1)


def _watched(slides: Iterator[Prepared], total: int) -> list[Prepared]:
    """All of them, with a bar and the time left; where there is no terminal, a line per tenth."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("Preparing"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[failed]}"),
    )
    done: list[Prepared] = []
    failed = 0
    with Progress(*columns, console=errors, disable=not errors.is_terminal) as progress:
        task = progress.add_task("", total=total, failed="")
        for prepared in slides:
            done.append(prepared)
            failed += prepared.error is not None
            progress.update(task, advance=1, failed=f"{failed} failed" if failed else "")
            if not errors.is_terminal and len(done) * 10 // total > (len(done) - 1) * 10 // total:
                errors.print(f"prepared {len(done)}/{total}, {failed} failed", highlight=False)
    return done


def _summarise(done: list[Prepared], records: Path, sheets: bool) -> None:
    from ats_mag.preparation import FAILED

    failed = sorted((p for p in done if p.error is not None), key=lambda p: p.slide_id)
    for p in failed[:_SHOWN]:
        show_error(f"{p.slide_id}: {p.error}", "failed")
    if failed:
        more = f"{len(failed) - _SHOWN} more, and all, " if len(failed) > _SHOWN else "all "
        show_error(f"{more}with their reasons in {records / FAILED}", "failed")
    sizes = [p.bytes for p in done if p.error is None]
    counts = ", ".join(f"{sum(p.status == s for p in done)} {s}" for s in ("written", "kept", "failed"))
    mean = f"; {sum(sizes) / len(sizes) / 1000:.1f} kB per slide" if sizes else ""
    console.print(f"{len(done)} slides: {counts}{mean}", highlight=False)
    if sheets:
        console.print(f"look through {records / 'sheets' / 'index.html'}", highlight=False, soft_wrap=True)
