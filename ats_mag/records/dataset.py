"""Records as batches for a model: loaded, augmented where asked, padded, with the slides copied ahead where asked."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from ats_mag.config.schema import AugmentConfig
from ats_mag.records.epoch_order import EpochOrder
from ats_mag.records.prefetched_copies import BATCHES_AHEAD, copy_ahead, longest_path_codes
from ats_mag.records.random_changes import augmented
from ats_mag.records.record import FEATURES, Element, View, encode_label, find_records
from ats_mag.records.shares import Share, Shared
from ats_mag.slides.copies.local_copies import LocalCopies
from ats_mag.slides.overview import WHITE, pad_to_multiple


def dataset(
    records: str | os.PathLike[str] | Sequence[dict[str, Any]],
    slide_root: str | os.PathLike[str],
    classes: Sequence[str] | None,
    batch_size: int = 8,
    split: str | None = None,
    shuffle: bool = False,
    seed: int | None = None,
    multiple: int = 64,
    multi_label: bool = False,
    local_copies: LocalCopies | None = None,
    augment: AugmentConfig | None = None,
    weights: Sequence[float] | None = None,
    order: EpochOrder | None = None,
    share: Share | None = None,
) -> tf.data.Dataset:
    """The records as a `tf.data` pipeline for `SlideClassifier.fit`, `evaluate` and `predict`.

    Args:
        records: folder of records, or a list from `find_records`.
        slide_root: folder that the records' paths are relative to.
        classes: names of the classes in the model's order; None: no labels come out.
        batch_size: slides per batch. Overviews are padded with white to the largest of the batch.
        split: take only the records of this split (when `records` is a folder).
        shuffle: in a new order every epoch.
        seed: of the shuffling and of `augment`.
        multiple: overviews are padded to multiples of this many pixels; a multiple of the model's stride.
        multi_label: labels are sets, as "a;b": 0/1 vectors come out instead of class numbers.
        local_copies: where to copy slides to ahead of their use; the paths that come out are those of the copies. A
            copy stays until its batch and the next three have come out: do not `cache` or prefetch the pipeline further.
        augment: random changes of the slides, for training only.
        weights: of each record in the loss.
        order: which record comes when, instead of `shuffle` and `seed`; the epochs of a run that can be resumed.
        share: what a host has of every batch, for `tf.distribute.Strategy.distribute_datasets_from_function`; a batch that comes
            out is one device's. Not with `shuffle`.

    Returns:
        Batches of `({overview, mask, path, geometry, overview_mpp}, label)`, or of the dict alone; with `weights`, the weights come
        third; with `augment`, `turn` and `colour` are in the dict, too; with `share`, `counted` `(B,)`, 0 where a slide only fills a
        device.

    Raises:
        RecordError: see `find_records`; a label that is none of `classes`.
        ValueError: `weights` without `classes`, or not one for each record; `share` with `shuffle`.
    """
    if isinstance(records, str | os.PathLike):
        records = find_records(records, split)
    files = [r["record"] for r in records]
    batch_size = min(batch_size, max(1, len(files)))  # TensorFlow reserves room for all that are asked for
    columns = [np.array(files)]
    if classes is not None:
        columns.append(np.stack([encode_label(r["label"], classes, multi_label, r["slide_id"]) for r in records]))
    if weights is not None:
        if classes is None or len(weights) != len(files):
            raise ValueError(f"weights need labels and one number per record. Received: {len(weights)} weights")
        columns.append(np.asarray(weights, "float32"))
    shared = None
    if share is not None:
        if shuffle:
            raise ValueError(
                "hosts that share batches need an order that all of them know: give `order` instead of `shuffle`"
            )
        order = order or _AsListed(len(files))
        shared = share.positions(order.first, order.length, batch_size)
    inputs = _in_order(columns, shuffle, seed, order, augment is not None, shared)
    length = longest_path_codes(records, slide_root, local_copies)

    def load(seed: tf.Tensor, file: tf.Tensor, *label: tf.Tensor) -> Element:
        view = _load_view(file, str(slide_root), length, multiple)
        if augment is not None:
            view = augmented(view, augment, seed)
        return (view, *label) if label else view

    loaded = inputs.map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    zeros = tf.nest.map_structure(lambda spec: tf.zeros((), spec.dtype), loaded.element_spec)
    (zeros[0] if isinstance(zeros, tuple) else zeros)["overview"] = tf.constant(WHITE, tf.uint8)
    if local_copies is not None:
        loaded = copy_ahead(loaded, local_copies, length, batch_size)
    batches = (
        loaded.padded_batch(batch_size, padding_values=zeros) if shared is None else _shares(loaded, shared, zeros)
    )
    return batches.prefetch(tf.data.AUTOTUNE if local_copies is None else BATCHES_AHEAD)


class _AsListed(EpochOrder):
    """Every record once, as they are listed."""

    def __init__(self, length: int) -> None:
        super().__init__([""] * length, 0)

    def slides(self, epoch: int) -> np.ndarray:
        return np.arange(self.length)


def _shares(loaded: tf.data.Dataset, shared: Shared, zeros: Any) -> tf.data.Dataset:
    """The batches of a host's devices, in turn."""
    sizes, largest = tf.constant(shared.sizes), int(shared.sizes.max())

    def counted(counts: tf.Tensor, element: Any) -> Any:
        view, *label = element if isinstance(element, tuple) else (element,)
        view = {**view, "counted": counts}
        return (view, *label) if label else view

    def batch(_: tf.Tensor, slides: tf.data.Dataset) -> tf.data.Dataset:
        padding = (tf.constant(0, tf.int64), tf.constant(0.0), zeros)
        return slides.padded_batch(largest, padding_values=padding).map(
            lambda _, counts, element: counted(counts, element)
        )

    slides = tf.data.Dataset.from_tensor_slices((shared.group, shared.counted))
    slides = tf.data.Dataset.zip(slides, loaded).map(lambda about, element: (*about, element))
    batches = slides.group_by_window(
        lambda group, *_: group, batch, window_size_func=lambda group: tf.gather(sizes, group)
    )
    return batches.apply(tf.data.experimental.assert_cardinality(len(shared.sizes)))


def _in_order(
    columns: list[np.ndarray],
    shuffle: bool,
    seed: int | None,
    order: EpochOrder | None,
    random: bool,
    shared: Shared | None,
) -> tf.data.Dataset:
    """Per slide a seed `(2,)` int64 and its entries of the columns."""
    if order is None:
        slides = tf.data.Dataset.from_tensor_slices(tuple(columns))
        if shuffle:
            slides = slides.shuffle(len(columns[0]), seed=seed, reshuffle_each_iteration=True)
        seeds = tf.data.Dataset.from_tensors(np.zeros(2, np.int64)).repeat()
        if random:
            seeds = tf.data.Dataset.random(seed, rerandomize_each_iteration=True).batch(2, drop_remainder=True)
        return tf.data.Dataset.zip(seeds, slides).map(lambda seed, slide: (seed, *slide))
    tables = [tf.constant(column) for column in columns]

    def take(position: tf.Tensor) -> tuple[tf.Tensor, ...]:
        number, seed = tf.numpy_function(order.slide, [position], (tf.int64, tf.int64))
        number, seed = tf.ensure_shape(number, ()), tf.ensure_shape(seed, (2,))
        return (seed, *[tf.gather(table, number) for table in tables])

    if shared is not None:
        return tf.data.Dataset.from_tensor_slices(shared.position).map(take)
    return tf.data.Dataset.range(order.first, order.length).map(take)


def _load_view(file: tf.Tensor, slide_root: str, length: int, multiple: int) -> View:
    record = tf.data.TFRecordDataset(file).get_single_element()
    example = tf.io.parse_single_example(record, FEATURES)
    overview = tf.ensure_shape(tf.io.decode_png(example["overview"], channels=3), (None, None, 3))
    # Not bool: Keras averages a batch to build a model under a distribution strategy.
    mask = tf.cast(tf.io.decode_png(example["mask"], channels=1)[..., 0] > 0, tf.uint8)
    path = tf.io.decode_raw(_join(slide_root, example["path"]), tf.uint8)
    path = tf.cast(tf.pad(path, [[0, length - tf.shape(path)[0]]]), tf.int32)
    return {
        "overview": pad_to_multiple(overview, multiple, WHITE),
        "mask": pad_to_multiple(mask, multiple, 0),
        "path": tf.ensure_shape(path, (length,)),
        "geometry": example["geometry"],
        "overview_mpp": example["overview_mpp"],
    }


def _join(root: str, path: tf.Tensor) -> tf.Tensor:
    absolute = tf.strings.substr(path, 0, 1) == "/"
    return tf.where(absolute, path, tf.strings.join([root.rstrip("/") + "/", path]))
