"""The published encoders of `presets.yaml`, and the folders in which they are looked for."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from ats_mag.model.encoders.weights_folder import is_model_folder

VARIABLE = "ATS_MAG_ENCODERS"
DEFAULT_FOLDER = "~/.cache/ats_mag/encoders"
_HUB = "https://huggingface.co/"


@dataclass(frozen=True)
class Preset:
    """A published encoder; the fields are explained in `presets.yaml`."""

    name: str
    page: str
    pool: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    image_size: int
    mpp: tuple[float, ...]
    licence: str
    gated: bool
    model_args: dict[str, Any] = field(default_factory=dict)
    model_type: str = ""
    unsure: str = ""

    @property
    def folder_names(self) -> tuple[str, ...]:
        """Names of a folder with this encoder: its own name, or the page's."""
        return self.name, self.page.rpartition("/")[2].lower()

    @property
    def url(self) -> str:
        """The page where its files are to be had."""
        return _HUB + self.page

    def source(self) -> str:
        """Where to get its files, and what must be done there before."""
        return self.url + (" (log in and agree to its terms first)" if self.gated else "")

    def how_to_get(self) -> str:
        """What to do to have it here."""
        return (
            f"get config.json and model.safetensors (or pytorch_model.bin) from {self.source()} and put them into "
            f"{search_folders()[0] / self.name}; licence: {self.licence}"
        )


@functools.cache
def presets() -> dict[str, Preset]:
    """All published encoders by name."""
    table = yaml.safe_load(resources.files(__package__).joinpath("presets.yaml").read_text(encoding="utf-8"))
    tuples = ("mean", "std", "mpp")
    found = {}
    for name, entry in table.items():
        fields: dict[str, Any] = {key: tuple(value) if key in tuples else value for key, value in entry.items()}
        found[name] = Preset(name, **fields)
    return found


def preset_named(name: str) -> Preset | None:
    """The encoder of that name, or of that page, however it is written."""
    wanted = _plain(name)
    return next((p for p in presets().values() if wanted in (_plain(p.page), *map(_plain, p.folder_names))), None)


def preset_of_folder(path: Path) -> Preset | None:
    """The encoder that a folder's name tells: its own, or that of the hub's cache around it (`models--OWNER--NAME`)."""
    names = [path.absolute().name, *[p.name.rpartition("--")[2] for p in path.absolute().parents if "--" in p.name]]
    return next((preset for name in names if (preset := preset_named(name)) is not None), None)


def search_folders() -> list[Path]:
    """Where folders of encoders are looked for, first those of the environment."""
    stated = [folder for folder in os.environ.get(VARIABLE, "").split(os.pathsep) if folder]
    return [Path(folder).expanduser() for folder in (*stated, DEFAULT_FOLDER)]


def find_folder(preset: Preset) -> Path | None:
    """The folder with an encoder's files, or None."""
    names = set(map(_plain, preset.folder_names))
    for folder in search_folders():
        if folder.is_dir():
            for path in sorted(folder.iterdir()):
                if _plain(path.name) in names and is_model_folder(path):
                    return path
    return None


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")
