"""A trained model as two SavedModels: one that reads slides by path, one without the op for a stock server."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from ats_mag.model.export.description import CARD, MODEL_CARD, card_without_run, describe
from ats_mag.model.export.path_endpoints import path_endpoints
from ats_mag.model.export.stock_endpoints import stock_endpoints, without_encoder
from ats_mag.model.network import SlideNetwork
from ats_mag.slides.errors import translate_op_error
from ats_mag.system.atomic_files import whole_folders
from ats_mag.system.json_text import json_bytes

STOCK_SUFFIX = "-stock"


def export_model(
    model: SlideNetwork,
    path: str | os.PathLike[str],
    card: Mapping[str, Any] | None = None,
    include_encoder: bool = True,
) -> tuple[Path, ...]:
    """Writes the two SavedModels.

    `path`, for a process that has loaded the op library (`tf.load_op_library(ats_mag.load_op())`, without the package):
    the signature `serving_default(path, slide_mpp)` takes slide paths, one string or `(B,)`, and um/px of level 0
    (NaN: the file's own), and returns

    - `probabilities` `(B, C)`, `attention` `(B, H, W, M)`, `mpp` `(B,)` um/px of level 0,
    - the patches looked at: `index` `(B, N, 3)`, `location` `(B, N, 2)` (x, y) in level-0 pixels, `downsample` and `weight`
      `(B, N)`. Where the model's test method is `exhaustive`, these are the N most probable.

    and, where the features have a bound (see `model.adaptive.bounds.score_range`), `adaptive(path, slide_mpp, confidence, min_patches,
    max_patches, block, first, seed)`: as many patches as the class of each slide takes, see `AdaptiveOptions`. All but the path are
    single numbers; `max_patches` 0: no limit; `seed` -1: another draw every time. It returns, with one entry per slide,

    - `probabilities` `(B, C)`, the class scores `score` and their intervals `score_low`, `score_high`,
    - `n_patches` `(B,)` that were read, and `reason` `(B,)`: "decided", "max_patches" or "exhausted".

    `path` + "-stock", without the op, which would keep a stock server from loading it at all:

    - `tissue(overview (h, w, 3) uint8)` -> `mask (h, w)` bool,
    - `locate(overview (B, h, w, 3) uint8, mask (B, h, w) bool)` -> `attention`, `index`, `weight`, and where to read the
      patches: `centre_um` `(B, N, 2)` (x, y) in um from the origin of the slide's bounds, `mpp` `(B, N)`,
    - `classify(patches (B, N, P, P, 3) uint8, weight (B, N) float32)` -> `probabilities`.

    Without its encoder, only the second is written, in which `classify(encoded (B, N, E) float32, weight)` takes what the encoder
    says of the patches: who serves it runs the encoder beside it.

    Args:
        model: the model.
        path: folder of the first; it must not exist.
        card: for people, written into both as `model_card.json`; of a model of a run see `runs.model_card.model_card`. None:
            `card_without_run`.
        include_encoder: whether the weights of a frozen encoder are written, also those that the `.keras` file names only.

    Returns:
        The folders.

    Raises:
        FileExistsError: one of the folders exists.
        OSError: they cannot be written; nothing is left of them.
        ValueError: the model has no frozen encoder to leave out.
        RuntimeError: a weight is no number.
    """
    model.check_weights()
    path = Path(path).absolute()  # "." has no name
    stock = path.with_name(path.name + STOCK_SUFFIX)
    model.feature_cache = None  # of this process
    if include_encoder:
        written, tracked = {path: path_endpoints(model), stock: stock_endpoints(model)}, model
    else:
        written, tracked = {stock: stock_endpoints(model, include_encoder=False)}, without_encoder(model)
    for folder in written:
        if folder.exists():
            raise FileExistsError(f"{str(folder)!r} exists already: remove it, or export to another place")
    cards = {CARD: describe(model), MODEL_CARD: card_without_run(model) if card is None else dict(card)}
    with whole_folders(*written) as unfinished:
        for folder, endpoints in zip(unfinished, written.values(), strict=True):
            archive = keras.export.ExportArchive()
            archive.track(tracked)
            for endpoint in endpoints:
                archive.add_endpoint(endpoint.name, endpoint.function, input_signature=endpoint.signature)
            try:
                archive.write_out(str(folder), verbose=False)
            except tf.errors.OpError as error:  # of TensorFlow's own file system
                raise OSError(
                    f"the SavedModel {str(path)!r} could not be written: {translate_op_error(error)}"
                ) from error
            _write_cards(folder, cards)
    return tuple(written)


def _write_cards(folder: Path, cards: Mapping[str, Mapping[str, Any]]) -> None:
    """Writes each card into the file of its name, below the folder."""
    for place, card in cards.items():
        file = folder / place
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(json_bytes(card))
