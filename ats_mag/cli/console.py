"""What all commands share: where they print, and how they end."""

from __future__ import annotations

import errno
import functools
import os
import sys
import warnings
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.text import Text

# Names may hold what looks like an emoji code; what looks like markup is up to who prints.
console = Console(emoji=False)
errors = Console(stderr=True, emoji=False)


def say(text: str) -> None:
    """A line on standard output, to the letter."""
    console.print(text, soft_wrap=True, highlight=False, markup=False)


def show_error(text: str, title: str = "error") -> None:
    """One line on standard error."""
    errors.print(Text.assemble((f"{title}:", "bold red"), f" {text}"), soft_wrap=True, highlight=False)


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
    from ats_mag.slides.errors import plain_errors

    usual = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if os.environ.get("ATS_MAG_TRACEBACK") or not issubclass(category, UserWarning):
            usual(message, category, *where, **more)
        else:
            show_error(str(message), "note")

    try:
        with warnings.catch_warnings(), plain_errors():
            warnings.showwarning = show
            app()
    except Exception as error:
        if os.environ.get("ATS_MAG_TRACEBACK"):
            raise
        show_error(_message(error))
        sys.exit(1)


_ADVICE = {
    errno.ENOSPC: "free some space there, or name another folder",
    errno.EDQUOT: "free some of what you may use there, or name another folder",
    errno.EROFS: "name a folder that can be written",
    errno.EACCES: "you lack the right: get it, or name another place",
    errno.ENOTDIR: "a part of this path is a file: name another folder",
}


def _of_a_file(error: BaseException) -> str | None:
    """What the system says of a file, with what to do about it."""
    if not isinstance(error, OSError) or error.filename is None or error.errno not in _ADVICE:
        return None
    return f"{error.strerror}: {os.fsdecode(error.filename)!r}; {_ADVICE[error.errno]}"


def _message(error: BaseException) -> str:
    from pydantic import ValidationError

    from ats_mag.system.open_files import limit_behind

    if isinstance(error, ValidationError):
        from ats_mag.config.reading import problem

        return "; ".join(problem(e) for e in error.errors())
    text = str(limit_behind(error) or _of_a_file(error) or error) or type(error).__name__
    if isinstance(error, ValueError | OSError | RuntimeError | MemoryError | ImportError):
        return text
    return f"{type(error).__name__}: {text} (not foreseen: please report it, with what ATS_MAG_TRACEBACK=1 shows)"
