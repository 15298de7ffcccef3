"""Starting a study."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ats_mag.cli.console import say

NAME = "config.yaml"


def init(
    path: Annotated[Path, typer.Argument(help="File to write, or a folder to write config.yaml into.")] = Path(NAME),
) -> None:
    """Writes a configuration with every key, its default and what it means."""
    from ats_mag.config.template import template

    file = path / NAME if path.is_dir() else path
    if file.suffix.lower() not in (".yaml", ".yml"):
        raise ValueError(f"{str(file)!r} is no name for a configuration: end it in .yaml")
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(file, "x", encoding="utf-8") as new:
            new.write(template())
    except FileExistsError as error:
        raise FileExistsError(f"{str(file)!r} exists already: give another name, or remove it first") from error
    except OSError as error:  # of a full disk, say, which names no file
        file.unlink(missing_ok=True)
        raise OSError(error.errno, f"{error.strerror}; it could not be written", str(file)) from error
    say(f"wrote {file}: fill in `data`, then run `ats-mag validate {file}`")
