"""The trial runs of `--quick`."""

from __future__ import annotations

from pathlib import Path

import typer


def check_out(quick: bool, out: Path, usual: Path) -> None:
    """Refuses to write a trial among what was measured.

    Raises:
        typer.BadParameter: `out` is the usual folder or file of results.
    """
    if quick and out.resolve() == usual.resolve():
        raise typer.BadParameter("--quick measures nothing worth keeping: give another folder with --out")


def check_names(only: list[str] | None, known: tuple[str, ...]) -> None:
    """Refuses names that are not known.

    Raises:
        typer.BadParameter: names the unknown and the known ones.
    """
    if unknown := sorted(set(only or ()) - set(known)):
        raise typer.BadParameter(f"unknown: {', '.join(unknown)}; there are {'; '.join(known)}")
