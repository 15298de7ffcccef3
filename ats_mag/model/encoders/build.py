"""An encoder by its name."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import keras

from ats_mag.model.built_in_networks import application_network, feature_network
from ats_mag.model.encoders import convolutions, lite0_weights
from ats_mag.model.encoders.lite0_file import lite0_file
from ats_mag.model.encoders.names import APPLICATION, LITE0, RANDOM, SMALL
from ats_mag.model.encoders.presets import Preset, find_folder, preset_named, preset_of_folder, presets, search_folders
from ats_mag.model.encoders.pretrained import PretrainedEncoder, check_trainable
from ats_mag.model.encoders.resnet_weights import load_resnet50
from ats_mag.model.encoders.stored_tensor import WeightsError
from ats_mag.model.encoders.token_pool import POOLS
from ats_mag.model.encoders.transformer_families import settings_of
from ats_mag.model.encoders.transformer_weights import load_transformer
from ats_mag.model.encoders.weights_folder import WeightsFolder, open_folder
from ats_mag.system.arguments import positive

_SUPPORTED = "transformers' vit, dinov2 and dinov2_with_registers, timm's vit_* and resnet50"


def encoder(
    name: str | os.PathLike[str],
    patch_size: int,
    trainable: bool | str = False,
    pool: str | None = None,
    dtype: str | None = None,
) -> keras.Model:
    """Builds an encoder and reads its weights, from this machine alone.

    Args:
        name: `efficientnet-lite0`; `small`, which has no weights to read and is always trained; `keras:NAME` with the ImageNet
            weights that Keras downloads, or `keras:NAME@FILE` with a file of weights without the top, or `keras:NAME@random`; a preset such as `uni`,
            see `ats-mag encoders`; or a folder with `config.json` and the weights.
        patch_size: P, pixels.
        trainable: False: frozen. True. `last-N-blocks`: the last N blocks and what follows them.
        pool: of a vision transformer: `cls`, `mean` (of the image's tokens, without class token and registers) or `cls+mean`.
            None: what the preset says.
        dtype: Keras' dtype policy of a pretrained network, e.g. `mixed_bfloat16`, or `bfloat16`, which halves its memory.
            None: Keras' own. Features are float32 in any case.

    Returns:
        A model `(B, P, P, 3)` in 0..255 -> `(B, D)` with the preprocessing inside.

    Raises:
        ValueError: the name is unknown, its files are missing or damaged (a `WeightsError`, which is one), or it cannot have
            this patch size or pool.
    """
    check_trainable(trainable)
    patch_size = positive("patch_size", patch_size)
    if pool is not None and pool not in POOLS:
        raise ValueError(f"pool must be one of {', '.join(map(repr, POOLS))}. Received: pool={pool!r}")
    text = os.fspath(name)
    if text == SMALL:
        _no_pool(text, pool)
        return feature_network(patch_size)
    if text == LITE0:
        return _lite0(patch_size, trainable, pool, dtype)
    if text.startswith(APPLICATION):
        return _application(text, patch_size, trainable, pool)
    preset = preset_named(text)
    path = Path(text).expanduser()
    if preset is not None and not path.is_dir():
        found = find_folder(preset)
        if found is None:
            places = ", ".join(map(str, search_folders()))
            raise WeightsError(
                f"the encoder {preset.name!r} is not in any of {places}. To have it, {preset.how_to_get()}"
            )
        return _from_folder(found, preset, patch_size, trainable, pool, dtype)
    if preset is None and not path.is_dir() and len(path.parts) == 1:
        known = ", ".join((LITE0, SMALL, f"{APPLICATION}NAME", *presets()))
        raise ValueError(f"there is no encoder {text!r}, and no folder of that name either; encoders are {known}")
    return _from_folder(path, preset_of_folder(path), patch_size, trainable, pool, dtype)


def _no_pool(name: str, pool: str | None) -> None:
    if pool not in (None, "mean"):
        raise ValueError(
            f"pool chooses among the tokens of a vision transformer; {name!r} has none. Received: pool={pool!r}"
        )


def _lite0(patch_size: int, trainable: bool | str, pool: str | None, dtype: str | None) -> keras.Model:
    _no_pool(LITE0, pool)
    if patch_size % 32:
        raise ValueError(f"patch_size must be a multiple of 32 for {LITE0}. Received: patch_size={patch_size}")
    path = lite0_file()
    network = convolutions.efficientnet_lite0(patch_size, dtype)
    lite0_weights.load_lite0(network, path)
    origin = {"name": LITE0, "files": [str(path)], "licence": "Apache-2.0"}
    return PretrainedEncoder(
        network,
        patch_size,
        lite0_weights.MEAN,
        lite0_weights.STD,
        None,
        trainable,
        origin,
        "efficientnet_lite0_encoder",
    )


def _application(name: str, patch_size: int, trainable: bool | str, pool: str | None) -> keras.Model:
    _no_pool(name, pool)
    if isinstance(trainable, str):
        raise ValueError(f"trainable must be true or false for {name!r}. Received: trainable={trainable!r}")
    network, _, file = name.removeprefix(APPLICATION).partition("@")
    if file and file != RANDOM and not Path(file).is_file():
        raise WeightsError(
            f"{file} of the encoder {name!r} is not there: give a file of weights without the top, .weights.h5 or .h5"
        )
    try:
        model = application_network(network, patch_size, None if file == RANDOM else file or "imagenet")
    except (OSError, ValueError, KeyError) as error:
        if not file or file == RANDOM:
            raise
        raise WeightsError(f"{file} does not hold weights of {network} without its top: {error}") from error
    except Exception as error:  # what Keras raises where a download fails
        if "URL fetch failure" not in str(error):
            raise
        raise WeightsError(
            f"the ImageNet weights of {name!r} could not be downloaded ({error}): without a network, give a file of them by "
            f"'{APPLICATION}{network}@FILE'"
        ) from error
    model.trainable = trainable
    return model


def _from_folder(
    path: Path, preset: Preset | None, patch_size: int, trainable: bool | str, pool: str | None, dtype: str | None
) -> keras.Model:
    folder = open_folder(path)
    config = path / "config.json"
    try:
        settings = settings_of(folder.config, *((preset.model_args, preset.model_type) if preset else ({},)))
    except ValueError as error:
        raise WeightsError(f"{config} {error}") from error
    mean, std = _standard(folder, preset)
    origin = {
        "name": preset.name if preset else path.absolute().name,
        "files": [str(file.absolute()) for file in folder.files],
    }
    if preset:
        origin["licence"] = preset.licence
    name = re.sub(r"\W+", "_", f"{origin['name']}_encoder").lower()
    if settings is not None:
        pool = pool or (preset.pool if preset else None)
        if pool is None:
            raise ValueError(
                f"what the features of {path} are is not known: give pool, one of {', '.join(map(repr, POOLS))}, as its makers "
                "recommend"
            )
        network = load_transformer(path, folder.tensors(), settings, patch_size, dtype)
        return PretrainedEncoder(network, patch_size, mean, std, pool, trainable, origin, name)
    if folder.config.get("architecture") != "resnet50":
        found = folder.config.get("model_type") or folder.config.get("architecture") or "none stated"
        raise WeightsError(f"{config} is of an architecture that is not supported: {found}. Supported are {_SUPPORTED}")
    _no_pool(str(path), pool)
    if patch_size < 32:
        raise ValueError(f"patch_size must be at least 32 for {path}. Received: patch_size={patch_size}")
    resnet = convolutions.resnet50(patch_size, dtype)
    load_resnet50(path, folder.tensors(), resnet)
    return PretrainedEncoder(resnet, patch_size, mean, std, None, trainable, origin, name)


def _standard(folder: WeightsFolder, preset: Preset | None) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of the channels; nothing is assumed."""
    if preset is not None:
        return preset.mean, preset.std
    timm = folder.config.get("pretrained_cfg") or folder.config
    for source, mean, std in ((timm, "mean", "std"), (folder.processor, "image_mean", "image_std")):
        values = _channels(source.get(mean)), _channels(source.get(std))
        if values[0] and values[1]:
            return values[0], values[1]
    raise WeightsError(
        f'{folder.path} does not say how pixels are standardised: state "mean" and "std" in config.json\'s "pretrained_cfg", '
        'or "image_mean" and "image_std" in a preprocessor_config.json'
    )


def _channels(value: Any) -> tuple[float, ...]:
    """Three numbers, or nothing."""
    sound = isinstance(value, list) and len(value) == 3 and all(isinstance(x, (int, float)) for x in value)
    return tuple(map(float, value)) if sound else ()
