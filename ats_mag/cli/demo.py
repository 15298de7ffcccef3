"""The demonstration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ats_mag.cli.console import console


def demo(
    out: Annotated[Path, typer.Option(help="Folder of everything the demo makes.")] = Path("demo-run"),
    seed: Annotated[int, typer.Option(min=0, help="Of slides and training.")] = 0,
) -> None:
    """Makes slides, trains on them, exports, reloads, and draws what the model looked at."""
    from ats_mag.demo.run import run

    run(out, seed, console)
