"""Scripts that behave as the commands do: what is wrong with the input is one message and a non-zero exit status."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.markup import escape

from ats_mag.cli.console import errors, run_app, say, show_error
from ats_mag.cli.convert import report_converted

if TYPE_CHECKING:
    from ats_mag.cohort.field_cohort import FieldCohort


def run_script(main: Callable[..., object]) -> None:
    """Runs a function as a program whose arguments typer reads; see `run_app`."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    run_app(app)


def make_cohort(cohort: FieldCohort, workers: int | None = None, size: tuple[int, int] | None = None) -> None:
    """Converts the fields of a cohort and writes its tables, saying what becomes of it.

    Args:
        cohort: the fields.
        workers: processes. None: one per CPU.
        size: (width, height) that all fields should have; others are named.

    Raises:
        typer.Exit: with status 1, after all fields were tried, where one cannot be converted.
    """
    from rich.progress import track

    done = list(track(cohort.convert(workers), "Converting", len(cohort.slides), console=errors))
    if not report_converted(done):
        show_error("no manifest was written: mend or remove these images, then run the same command again")
        raise typer.Exit(1)
    odd = sorted(converted.image.name for converted in done if size is not None and converted.size != size)
    if size is not None and odd:
        warn(
            f"{len(odd)} fields are not of {size[0]} x {size[1]} pixels, and so perhaps not of {cohort.mpp:g} um/px: "
            f"{', '.join(odd[:10])}{', ...' if odd[10:] else ''}"
        )
    report_tables(cohort.out, cohort.write_tables())


def report_tables(out: Path, written: list[Path]) -> None:
    """Says which tables of a cohort were written, and what comes next."""
    for file in written:
        say(f"wrote {file}")
    config = out / "config.yaml"
    if config not in written:
        say(f"kept {config}, which was there: remove it to have it written anew")
    say(f"next: ats-mag validate {config}")


def warn(text: str) -> None:
    """Something that the user must know although the work goes on."""
    errors.print(f"[bold yellow]warning:[/] {escape(text)}", soft_wrap=True, highlight=False)
