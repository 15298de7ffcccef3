"""Options as the library takes them, and its messages about them as somebody reads who gave options."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

TissueMasks = Annotated[
    Path | None,
    typer.Option(
        help="Folder of tissue masks that you drew, SLIDE_ID.png or .geojson; a manifest's column tissue_mask names others."
    ),
]


def slide_mpp(text: str | None) -> float | None:
    """What `--mpp` says, um/px.

    Raises:
        ValueError: it is no resolution of a slide.
    """
    from ats_mag.geometry.units import parse_slide_mpp

    try:
        return None if text is None else parse_slide_mpp(text)
    except ValueError as error:
        raise ValueError(f"--mpp: {error}") from error


@contextmanager
def naming_options(**options: str) -> Iterator[None]:
    """Within it, errors of arguments call them by the command's options.

    Args:
        options: by the name of the argument, such as `n_patches="--n-patches"`.
    """
    try:
        yield
    except ValueError as error:
        text = str(error)
        for argument, option in options.items():
            text = re.sub(rf"(?<![\w.`-]){argument}(?!\w)", option, text)
        if text == str(error):
            raise
        raise ValueError(text) from error
