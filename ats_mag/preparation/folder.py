"""The folder of the records: one process prepares into it at a time, and finds no litter."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ats_mag.preparation.job import SHEETS
from ats_mag.preparation.state import STATES
from ats_mag.records.schema import SUFFIX
from ats_mag.system.atomic_files import remove_unfinished
from ats_mag.system.lock import held_lock

_LOCK = ".lock"


@contextmanager
def held_alone(out: Path) -> Iterator[None]:
    """Holds the folder, and removes what processes that were killed, before or meanwhile, left unfinished in it.

    Raises:
        RuntimeError: another process is preparing into the folder.
    """
    (out / STATES).mkdir(exist_ok=True)
    refusal = f"another process is preparing slides into {str(out)!r}: wait for it, or stop it first"
    with held_lock(out / STATES / _LOCK, refusal):
        folders = (out, out / STATES, out / SHEETS)
        for folder in folders:
            remove_unfinished(folder)
        try:
            yield
        finally:
            for folder in folders:
                remove_unfinished(folder)


def unlisted_records(out: str | os.PathLike[str], slide_ids: Iterable[str]) -> list[str]:
    """Ids of records in the folder whose slides are none of these, sorted: they stay, but must not be used unnoticed."""
    found = {path.name.removesuffix(SUFFIX) for path in Path(out).glob(f"[!.]*{SUFFIX}")}
    return sorted(found - set(slide_ids))
