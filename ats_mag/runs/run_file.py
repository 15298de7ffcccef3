"""`run.json`: what a run keeps about itself, so that it is known what its results were made of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypedDict

from ats_mag.cohort.fingerprints import Fingerprint
from ats_mag.system.atomic_files import write_whole
from ats_mag.system.json_text import json_bytes

_NEEDED = {"classes", "config", "slides", "splits_made_with"}


class RunError(ValueError):
    """A run's folder that cannot be used with this configuration; the message names what differs and the mend."""


class Start(TypedDict):
    """When the run was begun, or went on with something changed, and with which versions."""

    at: str
    versions: dict[str, str]


class RunFile(TypedDict, total=False):
    """The content of `run.json`.

    Attributes:
        versions: of ats_mag, Python and what results depend on.
        seeds: of `splits` and `train`.
        classes: in the order of the model's outputs.
        label_mapping: the manifest's labels to classes.
        left_out: slides left out by their label, counted.
        notes: what had to be assumed of the manifest.
        folds: their number.
        splits_sha256: tells one division from another.
        splits_made_with: the configuration's section `splits`.
        slides: fingerprints by slide id.
        config: the whole configuration.
        starts: every start that changed one of these.
    """

    versions: dict[str, str]
    seeds: dict[str, int]
    classes: list[str]
    label_mapping: dict[str, str]
    left_out: dict[str, int]
    notes: list[str]
    folds: int
    splits_sha256: str
    splits_made_with: dict[str, Any]
    slides: dict[str, Fingerprint]
    config: dict[str, Any]
    starts: list[Start]


def read_run_file(file: Path) -> RunFile | None:
    """Reads it; None: the run was not begun.

    Raises:
        RunError: it is damaged.
    """
    try:
        run: RunFile = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(run, dict) or not run.keys() >= _NEEDED:
            raise ValueError("it lacks what `ats-mag` writes into it")
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise RunError(f"{str(file)!r} is damaged ({error}): use another `run` folder, or remove this one") from error
    return run


def write_run_file(file: Path, run: RunFile) -> None:
    """Writes it, whole or not at all."""
    write_whole(file, json_bytes(run))
