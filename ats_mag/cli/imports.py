"""The option by which commands learn of layers of the user's own."""

from __future__ import annotations

from typing import Annotated

import typer

Imports = Annotated[
    list[str] | None,
    typer.Option(
        "--import",
        help="Module (or .py file) that defines layers of yours which the model holds; may be given repeatedly.",
    ),
]


def import_given(modules: list[str] | None) -> None:
    """Imports them; nothing is loaded where there are none."""
    if modules:
        from ats_mag.model.user_modules import import_modules

        import_modules(modules)
