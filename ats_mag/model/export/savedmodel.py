"""A trained model as two SavedModels: one that reads slides by path, one without the op for a stock server."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from ats_mag.geometry.bounds import MPP_UNIT
from ats_mag.model.adaptive.bounds import bounded
from ats_mag.model.export.adaptive_endpoint import adaptive_endpoint, assert_tissue, slides_of
from ats_mag.prediction.predictor import CARD
from ats_mag.slides.overview import WHITE, Overview, pad_to_multiple, view_slide
from ats_mag.slides.tissue import tissue_mask

if TYPE_CHECKING:
    from ats_mag.model.classifier import SlideClassifier

STOCK_SUFFIX = "-stock"


def export_model(
    model: SlideClassifier,
    path: str | os.PathLike[str],
    model_file: str | os.PathLike[str] | None = None,
    intended_use: str | None = None,
) -> tuple[Path, Path]:
    """Writes the two SavedModels.

    `path`, for a process that has loaded the op library (`tf.load_op_library(ats_mag.load_op())`, without the package):
    the signature `serving_default(path, slide_mpp)` takes slide paths, one string or `(B,)`, and um/px of level 0
    (NaN: the file's own), and returns

    - `probabilities` `(B, C)`, `attention` `(B, H, W, M)`, `mpp` `(B,)` um/px of level 0,
    - the patches looked at: `index` `(B, N, 3)`, `location` `(B, N, 2)` (x, y) in level-0 pixels, `downsample` and `weight`
      `(B, N)`. Where the model's test method is `exhaustive`, these are the N most probable.

    and, where the features have a bound (see `adaptive.bounds.score_range`), `adaptive(path, slide_mpp, confidence, min_patches,
    max_patches, block, first, seed)`: as many patches as the class of each slide takes, see `AdaptiveOptions`. All but the path are
    single numbers; `max_patches` 0: no limit; `seed` -1: another draw every time. It returns, with one entry per slide,

    - `probabilities` `(B, C)`, the class scores `score` and their intervals `score_low`, `score_high`,
    - `n_patches` `(B,)` that were read, and `reason` `(B,)`: "decided", "max_patches" or "exhausted".

    `path` + "-stock", without the op, which would keep a stock server from loading it at all:

    - `tissue(overview (h, w, 3) uint8)` -> `mask (h, w)` bool,
    - `locate(overview (B, h, w, 3) uint8, mask (B, h, w) bool)` -> `attention`, `index`, `weight`, and where to read the
      patches: `centre_um` `(B, N, 2)` (x, y) in um from the origin of the slide's bounds, `mpp` `(B, N)`,
    - `classify(patches (B, N, P, P, 3) uint8, weight (B, N) float32)` -> `probabilities`.

    Args:
        model: the model.
        path: folder of the first; it must not exist.
        model_file, intended_use: see `model_card.model_card`, which is written into both as `model_card.json`.

    Returns:
        The two folders.

    Raises:
        FileExistsError: one of the folders exists.
    """
    path = Path(path)
    stock = path.with_name(path.name + STOCK_SUFFIX)
    for folder in (path, stock):
        if folder.exists():
            raise FileExistsError(f"{str(folder)!r} exists already: remove it, or export to another place")
    cards = _cards(model, model_file, intended_use)  # first, as a damaged run should be told at once
    for folder, endpoints in ((path, _path_endpoints(model)), (stock, _stock_endpoints(model))):
        unfinished = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
        archive = keras.export.ExportArchive()
        archive.track(model)
        for name, function, signature in endpoints:
            archive.add_endpoint(name, function, input_signature=signature)
        archive.write_out(str(unfinished), verbose=False)
        _write_cards(unfinished, cards)
        os.replace(unfinished, folder)
    return path, stock


def _cards(model: SlideClassifier, *about: Any) -> dict[str, Any]:
    """One for `Predictor`, one for people, by their places."""
    from ats_mag.runs.model_card import MODEL_CARD, describe, model_card

    return {CARD: describe(model), MODEL_CARD: model_card(model, *about)}


def _write_cards(folder: Path, cards: dict[str, Any]) -> None:
    for place, card in cards.items():
        file = folder / place
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _path_endpoints(model: SlideClassifier) -> list[tuple[str, Any, list[tf.TensorSpec]]]:
    overview_mpp, multiple = model.lattice.overview_mpp, model.overview_multiple
    image_spec = tf.RaggedTensorSpec((None, None, 3), tf.uint8, ragged_rank=1)
    mask_spec = tf.RaggedTensorSpec((None, None), tf.bool, ragged_rank=1)

    def view(path: tf.Tensor, slide_mpp: tf.Tensor) -> Overview:
        overview = view_slide(path, overview_mpp, slide_mpp)
        image = pad_to_multiple(overview.image, multiple, WHITE)
        return Overview(image, pad_to_multiple(overview.mask, multiple, 0), overview.geometry)

    def ragged_view(slide: tuple[tf.Tensor, tf.Tensor]) -> tuple[Any, Any, tf.Tensor]:
        image, mask, geometry = view(*slide)
        return tf.RaggedTensor.from_tensor(image), tf.RaggedTensor.from_tensor(mask), geometry

    def serve(path: tf.Tensor, slide_mpp: tf.Tensor) -> dict[str, tf.Tensor]:
        path, slide_mpp = slides_of(path, slide_mpp)
        signature = (image_spec, mask_spec, tf.TensorSpec((5,), tf.int64))
        images, masks, geometry = tf.map_fn(ragged_view, (path, slide_mpp), fn_output_signature=signature)
        mask = masks.to_tensor(False)
        with tf.control_dependencies([assert_tissue(mask, path)]):
            inputs = {
                "overview": images.to_tensor(WHITE, shape=(None, None, None, 3)),
                "mask": mask,
                "path": path,
                "geometry": geometry,
            }
            attention = model.attend(inputs)
        samples = model.draw(attention, method="topk" if model.test_method == "exhaustive" else None)
        location, downsample = model.place(inputs, samples.index)
        if model.test_method == "exhaustive":
            probabilities = model.classify_exhaustively(inputs, attention)
        else:
            probabilities = model.classify_samples(inputs, samples)
        return {
            "probabilities": probabilities,
            "attention": attention,
            "index": samples.index,
            "location": location,
            "downsample": downsample,
            "weight": samples.weight,
            "mpp": tf.cast(geometry[:, 4], tf.float64) * MPP_UNIT,
        }

    signature = [tf.TensorSpec(None, tf.string, name="path"), tf.TensorSpec(None, tf.float64, name="slide_mpp")]
    endpoints = [("serving_default", serve, signature)]
    return [*endpoints, adaptive_endpoint(model, view)] if bounded(model) else endpoints


def _stock_endpoints(model: SlideClassifier) -> list[tuple[str, Any, list[tf.TensorSpec]]]:
    lattice = model.lattice

    def tissue(overview: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"mask": tissue_mask(overview)}

    def locate(overview: tf.Tensor, mask: tf.Tensor) -> dict[str, tf.Tensor]:
        attention = model.attend({"overview": overview, "mask": mask})
        samples = model.draw(attention, method="topk" if model.test_method == "exhaustive" else None)
        centre = (tf.cast(samples.index[..., 1::-1], tf.float32) + 0.5) * lattice.cell_um
        mpp = tf.gather(tf.constant(lattice.magnifications, tf.float32), samples.index[..., 2])
        return {
            "attention": attention,
            "index": samples.index,
            "weight": samples.weight,
            "centre_um": centre,
            "mpp": mpp,
        }

    def classify(patches: tf.Tensor, weight: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": model.classify(model.features_of(patches), weight)}

    side = model.patch_size
    return [
        ("tissue", tissue, [tf.TensorSpec((None, None, 3), tf.uint8, name="overview")]),
        (
            "locate",
            locate,
            [
                tf.TensorSpec((None, None, None, 3), tf.uint8, name="overview"),
                tf.TensorSpec((None, None, None), tf.bool, name="mask"),
            ],
        ),
        (
            "classify",
            classify,
            [
                tf.TensorSpec((None, None, side, side, 3), tf.uint8, name="patches"),
                tf.TensorSpec((None, None), tf.float32, name="weight"),
            ],
        ),
    ]
