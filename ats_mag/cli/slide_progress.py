"""A bar over slides that are done one by one, and what became of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath
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


def show_failures(failed: list[tuple[str, str]], table: Path | None, named: bool = False) -> None:
    """Names slides that failed, those of one reason together, and the table that has all of them.

    Args:
        failed: the slide (its id, or its path) and the reason.
        table: None: there is none.
        named: whether the reasons say already what failed.
    """
    groups = same_reason(failed)
    for names, error in groups[:SHOWN]:
        others = names[1:] if len(names) > 1 else []
        more = f"; the same of {len(others)} more: {', '.join(others[:SHOWN])}{', ...' if others[SHOWN:] else ''}"
        text = error if named else f"{names[0]}: {error}"
        show_error(text + (more if others else ""), "failed")
    left = sum(len(names) for names, _ in groups[SHOWN:])
    if failed and table is not None:
        show_error(f"{f'{left} more, and all, ' if left else 'all '}with their reasons in {table}", "failed")
    elif left:
        show_error(f"{left} more, for other reasons", "failed")


def same_reason(failed: list[tuple[str, str]]) -> list[tuple[list[str], str]]:
    """What failed for one reason, but for its name: the names, and the reason of the first; in the order of the first."""
    groups: dict[str, tuple[list[str], str]] = {}
    for name, error in failed:
        reason = error
        for own in sorted({name, PurePath(name).name, PurePath(name).stem}, key=len, reverse=True):
            reason = re.sub(rf"(?<!\w){re.escape(own)}(?!\w)", "\0", reason)
        groups.setdefault(reason, ([], error))[0].append(name)
    return list(groups.values())


def show_unneeded(scheduler: str | None, statuses: Iterable[str]) -> None:
    """Says that a scheduler that was named was not asked, where every slide was done already."""
    if scheduler is not None and set(statuses) <= {"kept"}:
        show_error(f"nothing was left to do: the scheduler at {scheduler!r} was not asked", "note")


def show_counts(statuses: list[str], order: tuple[str, ...], more: str = "") -> None:
    """How many slides came to what."""
    counts = ", ".join(f"{statuses.count(status)} {status}" for status in order)
    say(f"{len(statuses)} slides: {counts}{more}")
