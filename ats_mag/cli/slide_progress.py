"""A bar over slides that are done one by one, and what became of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar

from ats_mag.cli.console import errors, say, show_error

SHOWN = 10  # failed slides that are named on the terminal; all are in the table


class Done(Protocol):
    """What became of one slide."""

    @property
    def status(self) -> str:
        """`kept`, `failed`, or that it was done now."""

    @property
    def error(self) -> str | None:
        """Why it failed, else None."""


_Done = TypeVar("_Done", bound=Done)


def show_progress(slides: Iterable[_Done], total: int, doing: str, done: str) -> Iterator[_Done]:
    """The same slides, with a bar and the time left on standard error; where there is no terminal, a line per tenth.

    Args:
        slides: each when it is done; those that are kept first.
        total: how many there will be.
        doing, done: what is done with them, "Preparing" and "prepared".
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn(doing),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[failed]}"),
    )
    count, failed = 0, 0
    with Progress(*columns, console=errors, disable=not errors.is_terminal) as progress:
        task = progress.add_task("", total=total, failed="")
        for slide in slides:
            count += 1
            failed += slide.error is not None
            shown = f"{failed} failed" if failed else ""
            if slide.status == "kept":  # that took no time, of which the time left must know nothing
                progress.reset(task, total=total, completed=count, failed=shown)
            else:
                progress.update(task, completed=count, failed=shown)
            if not errors.is_terminal and count * 10 // total > (count - 1) * 10 // total:
                errors.print(f"{done} {count}/{total}, {failed} failed", highlight=False)
            yield slide


def show_failures(failed: list[tuple[str, str]], table: Path | None) -> None:
    """Names slides that failed, with the reason, and the table that has all of them."""
    for name, error in failed[:SHOWN]:
        show_error(f"{name}: {error}", "failed")
    if failed and table is not None:
        more = f"{len(failed) - SHOWN} more, and all, " if len(failed) > SHOWN else "all "
        show_error(f"{more}with their reasons in {table}", "failed")


def show_counts(statuses: list[str], order: tuple[str, ...], more: str = "") -> None:
    """How many slides came to what."""
    counts = ", ".join(f"{statuses.count(status)} {status}" for status in order)
    say(f"{len(statuses)} slides: {counts}{more}")
