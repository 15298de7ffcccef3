"""How many files may be open: a limit of the process or the machine, and the fault of none of the files."""

from __future__ import annotations

import errno
import gc
import resource
from collections.abc import Callable
from typing import TypeVar

_Result = TypeVar("_Result")


class TooManyOpenFiles(RuntimeError):
    """The process, or the machine, may open no more files: no fault of the slide that was to be opened."""


def limit_behind(error: BaseException | None) -> TooManyOpenFiles | None:
    """The limit, where it is what an error came from, however it was wrapped."""
    while error is not None:
        if isinstance(error, TooManyOpenFiles):
            return error
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            return _limit()
        error = error.__cause__
    return None


def once_more(work: Callable[[], _Result], give_back: Callable[[], object]) -> _Result:
    """Does `work`; where no more files can be opened, once more after `give_back` has closed what is not in use.

    Raises:
        TooManyOpenFiles: that was not enough.
    """
    try:
        return work()
    except Exception as error:
        if limit_behind(error) is None:
            raise
    give_back()
    gc.collect()
    try:
        return work()
    except Exception as error:
        if limit_behind(error) is None:
            raise
        raise _limit() from error


def _limit() -> TooManyOpenFiles:
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    return TooManyOpenFiles(
        f"too many open files: this process may have {allowed} of them; raise the limit (`ulimit -n {max(4096, 2 * allowed)}`"
        f"{'' if most == resource.RLIM_INFINITY else f', at most {most} without the administrator'}), or have fewer processes at work "
        "at a time, and run it again. No slide is at fault"
    )
