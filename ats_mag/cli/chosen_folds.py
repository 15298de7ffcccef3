"""Which folds a command is for."""

from __future__ import annotations

import re
from collections.abc import Sequence


def parse_folds(text: str) -> list[int]:
    """The numbers that `--folds` names, such as `0,2` or `0-2,4`, in that order.

    Raises:
        ValueError: it names none, or one twice.
    """
    found: list[int] = []
    for part in text.split(","):
        ends = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part, re.ASCII)
        if ends is None or (ends[2] is not None and int(ends[2]) < int(ends[1])):
            raise ValueError(f"--folds takes numbers of folds such as 0,2 or 0-2,4. Received: {text!r}")
        found += range(int(ends[1]), int(ends[2] or ends[1]) + 1)
    twice = sorted({fold for fold in found if found.count(fold) > 1})
    if twice:
        raise ValueError(f"--folds names fold {twice[0]} twice. Received: {text!r}")
    return found


def chosen_folds(every: Sequence[int], fold: int | None, folds: str | None) -> list[int]:
    """The folds that the options `--fold` and `--folds` name; all where neither is given.

    Args:
        every: fold of the run.
        fold, folds: what was given, None: nothing.

    Raises:
        ValueError: both were given, or the run has no such fold.
    """
    if fold is not None and folds is not None:
        raise ValueError("--fold and --folds were both given: --folds names all that are meant, such as --folds 0,2")
    if fold is None and folds is None:
        return list(every)
    found = parse_folds(folds) if folds is not None else [] if fold is None else [fold]
    for k in found:
        if k not in every:
            raise ValueError(f"the run has the folds 0 to {len(every) - 1}. Received: {k}")
    return found
