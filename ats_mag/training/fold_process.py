"""Trains a fold in a process of its own: `python -m ats_mag.training.fold_process`, which `fold_worker` starts.

The job comes as JSON on standard input, what came of it goes as JSON to standard output, and all that is said to standard error.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from dataclasses import asdict
from typing import Any, TextIO

from ats_mag.training.fold_job import FoldJob, FoldOutcome


def main() -> None:
    """Does the job."""
    from ats_mag.system.processes import end_with_parent

    end_with_parent()
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no answer
    asked: dict[str, Any] = json.load(sys.stdin)
    versions = tuple((name, version) for name, version in asked["versions"])
    job = FoldJob(asked["config"], asked["fold"], versions, tuple(asked["identity"]))
    with answer:
        json.dump(asdict(train(job, sys.stderr)), answer)


def train(job: FoldJob, log: TextIO) -> FoldOutcome:
    """Trains the fold; what is wrong with the run comes back as a value.

    Args:
        job: the fold.
        log: where to say how far it is.
    """
    from rich.console import Console

    from ats_mag.runs.run import Run
    from ats_mag.training.fit import train_fold
    from ats_mag.training.progress_bar import FitProgress

    notes: list[str] = []

    def note(message: Warning | str, *where: Any, **more: Any) -> None:
        if str(message) not in notes:
            notes.append(str(message))
            print(f"note: {message}", file=log, flush=True)

    error = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = note
        try:
            train_fold(Run.open(job.settings()), job.fold, [FitProgress(Console(file=log, width=200))])
        except Exception as problem:
            error = str(problem) or type(problem).__name__
            if not isinstance(problem, ValueError | OSError | RuntimeError | MemoryError | ImportError):
                error = f"{type(problem).__name__}: {error}"
    print("trained" if error is None else f"error: {error}", file=log, flush=True)
    return FoldOutcome(error, tuple(notes))


if __name__ == "__main__":
    main()
