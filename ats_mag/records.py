"""One small TFRecord per slide: overview, tissue mask, place of the file, geometry and label; no patches."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from ats_mag.record_schema import SCHEMA as SCHEMA
from ats_mag.record_schema import SUFFIX as SUFFIX
from ats_mag.slides.local_copies import LocalCopies
from ats_mag.slides.overview import WHITE, Overview, pad_to_multiple
from ats_mag.slides.paths import PATH_CODES_MULTIPLE, encode_paths
from ats_mag.whole_file import whole_file

_COPIED_AT_ONCE = 4  # a network file system gives one reader a fraction of what it has
_BATCHES_AHEAD = 1  # that wait for the model; the next is being assembled meanwhile

_FEATURES = {
    "schema": tf.io.FixedLenFeature((), tf.int64),
    "slide_id": tf.io.FixedLenFeature((), tf.string),
    "patient_id": tf.io.FixedLenFeature((), tf.string),
    "path": tf.io.FixedLenFeature((), tf.string),
    "label": tf.io.FixedLenFeature((), tf.string),
    "split": tf.io.FixedLenFeature((), tf.string),
    "mpp_source": tf.io.FixedLenFeature((), tf.string),
    "overview_mpp": tf.io.FixedLenFeature((), tf.float32),
    "overview": tf.io.FixedLenFeature((), tf.string),
    "mask": tf.io.FixedLenFeature((), tf.string),
    "geometry": tf.io.FixedLenFeature((5,), tf.int64),
}


class RecordError(ValueError):
    """A record that cannot be used; the message names the file and the mend."""


def encode_record(view: Overview, overview_mpp: float, texts: dict[str, str]) -> bytes:
    """One slide as a serialised `tf.train.Example`.

    Args:
        view: of the slide.
        overview_mpp: um/px of `view`.
        texts: `slide_id`, `patient_id`, `path` (relative to the slide root), `label`, `split`, and `mpp_source`: where
            the resolution comes from.

    Returns:
        The bytes, which are the same on every machine.
    """
    mask = tf.cast(view.mask, tf.uint8)[..., None] * 255
    blobs = {"overview": tf.io.encode_png(view.image).numpy(), "mask": tf.io.encode_png(mask).numpy()}
    blobs |= {name: text.encode() for name, text in texts.items()}
    feature = {name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[blob])) for name, blob in blobs.items()}
    whole = {"schema": [SCHEMA], "geometry": [int(v) for v in view.geometry]}
    feature |= {name: tf.train.Feature(int64_list=tf.train.Int64List(value=v)) for name, v in whole.items()}
    feature["overview_mpp"] = tf.train.Feature(float_list=tf.train.FloatList(value=[overview_mpp]))
    # Deterministic: else the order of the features depends on the process.
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString(deterministic=True)


def write_record(path: str | os.PathLike[str], record: bytes) -> None:
    """Writes one record, whole or not at all."""
    with whole_file(path) as unfinished, tf.io.TFRecordWriter(str(unfinished)) as writer:
        writer.write(record)


def read_texts(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Everything of a record but its pictures, checked.

    Raises:
        RecordError: a damaged file, or one of another schema version.
    """
    example = _read_example(path)
    texts = {
        name: example[name].bytes_list.value[0].decode()
        for name in ("slide_id", "patient_id", "path", "label", "split", "mpp_source")
    }
    geometry = np.array(example["geometry"].int64_list.value)
    return {**texts, "overview_mpp": example["overview_mpp"].float_list.value[0], "geometry": geometry}


def read_view(path: str | os.PathLike[str]) -> Overview:
    """The view of the slide that a record holds, as NumPy arrays.

    Raises:
        RecordError: as `read_texts`.
    """
    example = _read_example(path)
    image, mask = (tf.io.decode_png(example[name].bytes_list.value[0]).numpy() for name in ("overview", "mask"))
    return Overview(image, mask[..., 0] > 0, np.array(example["geometry"].int64_list.value))


def find_records(folder: str | os.PathLike[str], split: str | None = None) -> list[dict[str, Any]]:
    """The records of a folder, as `read_texts` and their `record` file, sorted by slide id.

    Raises:
        RecordError: no record, none of that split, a bad one, or records of different overview resolutions.
    """
    files = sorted(Path(folder).glob("*" + SUFFIX))
    if not files:
        raise RecordError(f"{os.fspath(folder)!r} holds no records (*{SUFFIX}): run `ats-mag prepare` first")
    found = [{**read_texts(file), "record": str(file)} for file in files]
    resolutions = sorted({round(r["overview_mpp"], 6) for r in found})
    if len(resolutions) > 1:
        raise RecordError(
            f"{os.fspath(folder)!r} holds records of several overview resolutions ({resolutions} um/px): "
            "prepare each resolution into a folder of its own"
        )
    chosen = [r for r in found if split is None or r["split"] == split]
    if not chosen:
        splits = ", ".join(sorted({repr(r["split"]) for r in found}))
        raise RecordError(f"{os.fspath(folder)!r} holds no record of split {split!r}; its splits are {splits}")
    return chosen


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
) -> tf.data.Dataset:
    """The records as a `tf.data` pipeline for `SlideClassifier.fit`, `evaluate` and `predict`.

    Args:
        records: folder of records, or a list from `find_records`.
        slide_root: folder that the records' paths are relative to.
        classes: names of the classes in the model's order; None: no labels come out.
        batch_size: slides per batch. Overviews are padded with white to the largest of the batch.
        split: take only the records of this split (when `records` is a folder).
        shuffle: in a new order every epoch.
        seed: of the shuffling.
        multiple: overviews are padded to multiples of this many pixels; a multiple of the model's stride.
        multi_label: labels are sets, as "a;b": 0/1 vectors come out instead of class numbers.
        local_copies: where to copy slides to ahead of their use; the paths that come out are those of the copies. A
            copy stays until its batch and the next three have come out: do not `cache` or prefetch the pipeline further.

    Returns:
        Batches of `({overview, mask, path, geometry}, label)`, or of the dict alone.

    Raises:
        RecordError: see `find_records`; a label that is none of `classes`.
    """
    if isinstance(records, str | os.PathLike):
        records = find_records(records, split)
    files = [r["record"] for r in records]
    inputs = tf.data.Dataset.from_tensor_slices(files)
    if classes is not None:
        labels = np.stack([encode_label(r["label"], classes, multi_label, r["slide_id"]) for r in records])
        inputs = tf.data.Dataset.zip(inputs, tf.data.Dataset.from_tensor_slices(labels))
    if shuffle:
        inputs = inputs.shuffle(len(files), seed=seed, reshuffle_each_iteration=True)
    length = _path_length(records, slide_root, local_copies)

    def load(file: tf.Tensor, *label: tf.Tensor) -> Any:
        view = _load_view(file, str(slide_root), length, multiple)
        return (view, *label) if label else view

    loaded = inputs.map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    white = {"overview": tf.constant(WHITE, tf.uint8), "mask": tf.constant(0, tf.uint8)}
    white |= {"path": tf.constant(0, tf.int32), "geometry": tf.constant(0, tf.int64)}
    padding: Any = white if classes is None else (white, tf.constant(0, labels.dtype))
    if local_copies is None:
        return loaded.padded_batch(batch_size, padding_values=padding).prefetch(tf.data.AUTOTUNE)
    loaded = _copy_ahead(loaded, local_copies, length, batch_size)
    return loaded.padded_batch(batch_size, padding_values=padding).prefetch(_BATCHES_AHEAD)


def encode_label(label: str, classes: Sequence[str], multi_label: bool = False, slide_id: str = "") -> np.ndarray:
    """A label as the model takes it: the number of its class, or a 0/1 vector over the classes.

    Raises:
        RecordError: a label that is none of `classes`.
    """
    names = [part for part in label.split(";") if part] if multi_label else [label]
    unknown = [name for name in names if name not in classes]
    if unknown:
        raise RecordError(
            f"slide {slide_id!r} has the label {unknown[0]!r}, which is none of the classes {', '.join(classes)}: "
            "correct the manifest and prepare the slide again, or train with this class"
        )
    numbers = [list(classes).index(name) for name in names]
    return np.isin(np.arange(len(classes)), numbers).astype("float32") if multi_label else np.array(numbers[0], "int32")


def _read_example(path: str | os.PathLike[str]) -> Any:
    """The features of a record, if it is one of this schema."""
    mend = "prepare the slide again (remove the file, then run `ats-mag prepare`)"
    try:
        record = next(iter(tf.data.TFRecordDataset(str(path)))).numpy()
        example = tf.train.Example.FromString(record).features.feature
    except (StopIteration, tf.errors.OpError, ValueError, RuntimeError) as error:
        raise RecordError(f"record {os.fspath(path)!r} is damaged: {mend}") from error
    except Exception as error:  # protobuf's DecodeError has no common public base class
        raise RecordError(f"record {os.fspath(path)!r} does not hold a slide: {mend}") from error
    schema = list(example["schema"].int64_list.value)
    if schema != [SCHEMA]:
        found = schema[0] if schema else "none"
        raise RecordError(
            f"record {os.fspath(path)!r} has schema version {found}, this release of ats_mag reads version {SCHEMA}: {mend}"
        )
    return example


def _load_view(file: tf.Tensor, slide_root: str, length: int, multiple: int) -> dict[str, tf.Tensor]:
    record = tf.data.TFRecordDataset(file).get_single_element()
    example = tf.io.parse_single_example(record, _FEATURES)
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
    }


def _copy_ahead(loaded: tf.data.Dataset, copies: LocalCopies, length: int, batch_size: int) -> tf.data.Dataset:
    """Replaces each slide's path by that of its copy."""
    # Copies are in the making, in the batch being assembled, in those ahead, in the one in use and, under a distribution
    # strategy or JAX, in one on its way to the device.
    window = copies.window(_COPIED_AT_ONCE + batch_size * (_BATCHES_AHEAD + 3))

    def copy(codes: np.ndarray) -> np.ndarray:
        path = window.path(os.fsdecode(codes.astype(np.uint8).tobytes().rstrip(b"\0")))
        (found,) = encode_paths([path])
        return np.pad(found, (0, max(0, length - len(found))))

    def replace(*element: Any) -> Any:
        view, *label = element
        path = tf.ensure_shape(tf.numpy_function(copy, [view["path"]], tf.int32), (length,))
        return ({**view, "path": path}, *label) if label else {**view, "path": path}

    options = tf.data.Options()
    # Waiting for a file system must not take the threads that the training step runs on.
    options.threading.private_threadpool_size = _COPIED_AT_ONCE + (os.cpu_count() or 1)
    return loaded.map(replace, num_parallel_calls=_COPIED_AT_ONCE, deterministic=True).with_options(options)


def _join(root: str, path: tf.Tensor) -> tf.Tensor:
    absolute = tf.strings.substr(path, 0, 1) == "/"
    return tf.where(absolute, path, tf.strings.join([root.rstrip("/") + "/", path]))


def _path_length(
    records: Iterable[dict[str, Any]], slide_root: str | os.PathLike[str], copies: LocalCopies | None
) -> int:
    paths = [os.path.join(slide_root, r["path"]) for r in records]
    longest = max(len(os.fsencode(path)) if copies is None else copies.longest_path(path) for path in paths)
    return -(-(longest + 1) // PATH_CODES_MULTIPLE) * PATH_CODES_MULTIPLE
