"""Frozen weights that a model's file does not hold: named by their files and digests, and read again from there."""

from __future__ import annotations

import functools
import math
import os
from pathlib import Path
from typing import Any

import keras

from ats_mag.model.encoders.build import encoder
from ats_mag.model.encoders.presets import find_folder, preset_named
from ats_mag.model.encoders.pretrained import PretrainedEncoder
from ats_mag.model.encoders.stored_tensor import WeightsError
from ats_mag.system.atomic_files import digest


def frozen_bytes(network: keras.Model) -> int:
    """Memory of the weights that do not learn."""
    return sum(
        math.prod(variable.shape) * (2 if "16" in variable.dtype else 4) for variable in network.non_trainable_variables
    )


def reference_to(network: PretrainedEncoder) -> dict[str, Any]:
    """What it takes to build the encoder again from its files, as plain values: `files` names them with their SHA-256."""
    return {
        "name": network.origin["name"],
        "files": digests(network),
        "patch_size": network.patch_size,
        "pool": network.pool,
        "mean": list(network.mean),
        "std": list(network.std),
        "dtype": network.network.dtype_policy.name,
    }


def digests(network: PretrainedEncoder) -> dict[str, str]:
    """The files that the encoder's weights came from, with their SHA-256.

    Raises:
        WeightsError: one of them is no longer there.
    """
    return {path: _digest(path, network.origin["name"]) for path in network.origin["files"]}


def encoder_of_reference(reference: dict[str, Any]) -> PretrainedEncoder:
    """The encoder, frozen, from its files where they were or, of a preset, where its folder is looked for.

    Raises:
        WeightsError: a file is missing, or another one than it was.
    """
    name = reference["name"]
    folder = _folder(reference)
    for path, before in reference["files"].items():
        now = folder / Path(path).name
        if _digest(str(now), name) != before:
            raise WeightsError(
                f"{now} is not the file of the encoder {name!r} that the model was trained with (SHA-256 {before}): bring that "
                "one back, or give the model's own file after an export"
            )
    made = encoder(folder, reference["patch_size"], False, reference["pool"], reference["dtype"])
    if not isinstance(made, PretrainedEncoder) or [list(made.mean), list(made.std)] != [
        reference["mean"],
        reference["std"],
    ]:
        raise WeightsError(
            f"{folder} is read otherwise than when the model was trained (mean and std of the channels were "
            f"{reference['mean']} and {reference['std']}): bring its config.json back"
        )
    made.origin["name"] = name
    return made


def _folder(reference: dict[str, Any]) -> Path:
    """Where the files were, or where a preset's are."""
    folder = Path(next(iter(reference["files"]))).parent
    if all(Path(path).exists() for path in reference["files"]):
        return folder
    preset = preset_named(reference["name"])
    return (find_folder(preset) if preset else None) or folder


def _digest(path: str, name: str) -> str:
    try:
        found = os.stat(path)
    except OSError as error:
        raise WeightsError(
            f"{path} with the weights of the encoder {name!r} is not there; the model's file names it instead of holding its "
            "weights: bring the file back, or, of a preset, put its folder where `ats-mag encoders` says"
        ) from error
    return _digest_of(os.path.realpath(path), found.st_size, found.st_mtime_ns)


@functools.lru_cache
def _digest_of(path: str, size: int, mtime_ns: int) -> str:
    """The digest of a file as it is; large files are read once."""
    return digest(path)
