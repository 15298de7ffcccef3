"""Reporting."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ats_mag.cli.console import say


def report(config: Annotated[Path, typer.Argument(help="The run's configuration, a YAML file.")]) -> None:
    """Writes one HTML page about a run, to open in any browser and to send to others.

    It goes to report.html in the run's folder and shows what is there: run it again after training and evaluating.
    """
    from ats_mag.config.reading import read_config
    from ats_mag.report.page import write_report
    from ats_mag.runs.run import Run

    say(f"wrote {write_report(Run.stored(read_config(config)))}")
