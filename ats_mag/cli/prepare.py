"""Preparing records."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ats_mag.cli.console import say, show_error
from ats_mag.cli.slide_progress import SHOWN, show_counts, show_failures, show_progress, show_unneeded

if TYPE_CHECKING:
    from ats_mag.preparation import Prepared
    from ats_mag.runs.layout import RunLayout


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
    from ats_mag.config.reading import read_config
    from ats_mag.preparation import unlisted_records
    from ats_mag.runs.prepare_run import prepare_run
    from ats_mag.runs.run import Run

    run = Run.open(read_config(config))
    settings, manifest = run.config, run.manifest
    for note in manifest.attrs["notes"]:  # before hours are spent on what was not meant
        show_error(note, "note")
    asked = settings.prepare
    slides = prepare_run(run, workers, scheduler)
    done = list(show_progress(slides, len(manifest), "Preparing", "prepared"))
    _summarise(done, run.layout, asked.sheets)
    show_unneeded(scheduler, [p.status for p in done])
    unlisted = unlisted_records(settings.records, manifest["slide_id"])
    if unlisted:
        more = f" and {len(unlisted) - SHOWN} more" if len(unlisted) > SHOWN else ""
        show_error(
            f"{len(unlisted)} records are of slides that are not in the manifest: {', '.join(unlisted[:SHOWN])}{more}; "
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


def _summarise(done: list[Prepared], layout: RunLayout, sheets: bool) -> None:
    from ats_mag.preparation import FAILED

    failed = [(p.slide_id, p.error) for p in sorted(done, key=lambda p: p.slide_id) if p.error is not None]
    show_failures(failed, layout.records / FAILED)
    sizes = [p.bytes for p in done if p.error is None]
    mean = f"; {sum(sizes) / len(sizes) / 1000:.1f} kB per slide" if sizes else ""
    show_counts([p.status for p in done], ("written", "kept", "failed"), mean)
    flags = Counter(flag for p in done for flag in p.flags)
    if flags:
        listed = ", ".join(f"{flag}: {count}" for flag, count in sorted(flags.items()))
        say(f"slides that deserve a look ({listed})")
    if sheets:
        say(f"look through {layout.sheets / 'index.html'}")
