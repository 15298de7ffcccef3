"""What all commands share: where they print, and common options."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

console = Console()
errors = Console(stderr=True)

DEFAULT_MAGNIFICATIONS = ["20x", "5x"]
SlideRoot = Annotated[Path, typer.Option(help="Folder that the slides' paths are relative to.")]
LocalCopiesFolder = Annotated[
    Path | None, typer.Option("--local-copies", help="Folder on a local disk; slides are copied to it ahead of use.")
]
LocalCopiesGb = Annotated[float, typer.Option(help="Most that the local copies take, GB.")]
OverviewMpp = Annotated[str, typer.Option(help='Resolution of the overviews, um/px or "1.25x".')]


def write_csv(table: Any, path: Path) -> None:
    """Whole or not at all."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    table.to_csv(unfinished, index=False)
    os.replace(unfinished, path)
    console.print(f"wrote {path}", highlight=False, soft_wrap=True)


def show_error(text: str, title: str = "error") -> None:
    """One line on standard error."""
    errors.print(f"[bold red]{title}:[/] {escape(text)}", soft_wrap=True, highlight=False)


def resumable(command: Callable[..., None]) -> Callable[..., None]:
    """The command, which says after Ctrl-C that it can be given again."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except KeyboardInterrupt:
            show_error("what is done is kept; the same command goes on from there", "interrupted")
            raise

    return run
