"""Tables that the program wrote itself and reads again: whole, or damaged, which is said with the mend."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd


def read_kept(path: str | os.PathLike[str], columns: Iterable[str], mend: str, **options: Any) -> pd.DataFrame:
    """A CSV that the program wrote.

    Args:
        path: the file.
        columns: that it must have.
        mend: what to do where it is damaged, such as "run `ats-mag evaluate` again".
        options: of `pandas.read_csv`.

    Raises:
        ValueError: it is damaged.
        OSError: it cannot be read.
    """
    try:
        if b"\0" in Path(path).read_bytes():  # which a machine that fails may leave, and pandas passes over
            raise ValueError("it holds zero bytes")
        table = pd.read_csv(path, encoding_errors="surrogateescape", **options)  # names may be no UTF-8
        missing = [name for name in columns if name not in table]
        if missing:
            raise ValueError(f"it lacks the column(s) {', '.join(missing)}")
    except ValueError as error:
        why = " ".join(str(error).split())
        raise ValueError(f"{os.fspath(path)!r} is damaged ({why}): {mend}") from error
    return table
