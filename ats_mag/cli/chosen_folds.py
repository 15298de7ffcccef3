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


def asked_folds(fold: int | None, folds: str | None) -> list[int] | None:
    """The folds that the options `--fold` and `--folds` name; None: neither was given.

    Raises:
        ValueError: both were given, or `--folds` cannot be meant, see `parse_folds`.
    """
    if fold is not None and folds is not None:
        raise ValueError("--fold and --folds were both given: --folds names all that are meant, such as --folds 0,2")
    if folds is not None:
        return parse_folds(folds)
    return None if fold is None else [fold]


def chosen_folds(every: Sequence[int], asked: Sequence[int] | None) -> list[int]:
    """The folds that were asked for; all where none was.

    Args:
        every: fold of the run.
        asked: as `asked_folds` gives them.

    Raises:
        ValueError: the run has no such fold.
    """
    for k in asked or ():
        if k not in every:
            several = "" if len(every) > 1 else " (several: splits.kind: kfold)"
            raise ValueError(f"the run has the folds 0 to {len(every) - 1}. Received: {k}{several}")
    return list(every if asked is None else asked)
