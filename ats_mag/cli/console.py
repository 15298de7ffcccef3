"""What all commands share: where they print, and how they end."""

from __future__ import annotations

import functools
import os
import sys
import warnings
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.markup import escape

console = Console()
errors = Console(stderr=True)


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


def run_app(app: Callable[[], object]) -> None:
    """Runs a typer application; what is wrong with the input is one message and exit status 1, what is doubtful one line each.

    `ATS_MAG_TRACEBACK=1` shows where it is from.
    """
    usual = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if os.environ.get("ATS_MAG_TRACEBACK") or not issubclass(category, UserWarning):
            usual(message, category, *where, **more)
        else:
            show_error(str(message), "note")

    try:
        with warnings.catch_warnings():
            warnings.showwarning = show
            app()
    except (ValueError, OSError, RuntimeError, MemoryError, ImportError) as error:
        if os.environ.get("ATS_MAG_TRACEBACK"):
            raise
        show_error(_message(error))
        sys.exit(1)


def _message(error: BaseException) -> str:
    from pydantic import ValidationError

    if isinstance(error, ValidationError):
        from ats_mag.config.reading import problem

        return "; ".join(problem(e) for e in error.errors())
    return str(error)
