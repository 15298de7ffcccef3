"""The options that the experiments on cohorts share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

STAND_IN = "stand-in"  # folder of a trial's data and cohort

Seeds = Annotated[int, typer.Option(min=1, help="Seeds 0, 1, ...")]
Only = Annotated[list[str] | None, typer.Option(help="Contestants to run: joint, single, colour.")]
Out = Annotated[Path, typer.Option(help="Folder of the results.")]
Quick = Annotated[bool, typer.Option("--quick", help="A trial on made slides; needs another --out.")]


def check_quick(quick: bool, out: Path, usual: Path, data: object, argument: str) -> None:
    """Refuses `--quick` with data or with the usual folder of results, and anything else without data.

    Raises:
        ValueError: with the mend.
    """
    if quick and data is not None:
        raise ValueError(
            f"--quick runs on pictures that it makes itself: leave {argument} away. Received: {str(data)!r}"
        )
    if quick and out.resolve() == usual.resolve():
        raise ValueError("--quick measures nothing worth keeping: give another folder with --out")
    if not quick and data is None:
        raise ValueError(
            f"{argument} is missing: say where the data set is, or try the script with --quick --out FOLDER"
        )
