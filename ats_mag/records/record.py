"""One small TFRecord per slide: overview, tissue mask, place of the file, geometry and label; no patches."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from ats_mag.records.schema import SCHEMA, SUFFIX
from ats_mag.slides.overview import Overview
from ats_mag.system.atomic_files import whole_file

FEATURES = {
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


View: TypeAlias = dict[str, tf.Tensor]  # what a model takes of one slide
Element: TypeAlias = View | tuple[View | tf.Tensor, ...]  # with label and weight, where there are any


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


def find_records(
    folder: str | os.PathLike[str], split: str | None = None, slide_ids: Iterable[str] | None = None
) -> list[dict[str, Any]]:
    """The records of a folder, as `read_texts` and their `record` file, sorted by slide id.

    Args:
        folder: of the records.
        split: of the records that are wanted; None: any.
        slide_ids: of the slides that are wanted; other records are not looked at. None: all.

    Raises:
        RecordError: no record, none of that split, a bad one, or records of different overview resolutions.
    """
    files = sorted(Path(folder).glob("[!.]*" + SUFFIX))  # ".name" is what macOS puts beside the real ones
    if not files:
        raise RecordError(f"{os.fspath(folder)!r} holds no records (*{SUFFIX}): run `ats-mag prepare` first")
    if slide_ids is not None:
        wanted = set(slide_ids)
        files = [file for file in files if file.name.removesuffix(SUFFIX) in wanted]
    found = [{**read_texts(file), "record": str(file)} for file in files]
    resolutions = sorted({round(r["overview_mpp"], 6) for r in found})
    if len(resolutions) > 1:
        raise RecordError(
            f"{os.fspath(folder)!r} holds records of several overview resolutions ({resolutions} um/px): "
            "prepare each resolution into a folder of its own, or run `ats-mag prepare` again to have all of one"
        )
    chosen = [r for r in found if split is None or r["split"] == split]
    if split is not None and not chosen:
        splits = ", ".join(sorted({repr(r["split"]) for r in found}))
        raise RecordError(f"{os.fspath(folder)!r} holds no record of split {split!r}; its splits are {splits}")
    return chosen


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


def _read_example(path: str | os.PathLike[str]) -> Mapping[str, tf.train.Feature]:
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
