"""Logs for TensorBoard: metrics, and what the model looks at on a fixed set of slides."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import keras
import numpy as np

_LOUDEST = np.array([255.0, 0.0, 0.0])  # the colour of the highest attention


def check_installed() -> None:
    """Raises an ImportError where TensorBoard is missing."""
    if importlib.util.find_spec("tensorboard") is None:
        raise ImportError(
            "train.tensorboard: true needs TensorBoard, which is not installed: pip install 'ats-mag[tensorboard]', or set "
            "train.tensorboard: false"
        )


def watched(
    parts: dict[str, list[dict[str, Any]]], count: int, slide_root: str | os.PathLike[str], stride: int
) -> list[tuple[str, dict[str, Any]]]:
    """The first slides of validation and of training, half of each if there are so many, as inputs by name."""
    from ats_mag.records.dataset import dataset

    validation = parts["validation"][: count - count // 2]
    chosen = validation + parts["train"][: count - len(validation)]
    if not chosen:
        return []
    data = dataset(chosen, slide_root, None, batch_size=1, multiple=stride)
    return [(record["slide_id"], inputs) for record, inputs in zip(chosen, data, strict=True)]


class Board(keras.callbacks.Callback):
    """Writes every epoch's logs as scalars, and per watched slide its attention at each magnification and its patches.

    Args:
        folder: of the event files.
        slides: names and inputs (batches of one slide).
    """

    def __init__(self, folder: Path, slides: list[tuple[str, dict[str, Any]]]) -> None:
        super().__init__()
        self.folder, self.slides = folder, slides
        self._writer: Any = None

    def on_train_begin(self, logs: Any = None) -> None:
        import tensorflow as tf

        self._writer = tf.summary.create_file_writer(str(self.folder))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        import tensorflow as tf

        with self._writer.as_default(step=epoch):
            for name, value in (logs or {}).items():
                tf.summary.scalar(name, value)
            for name, inputs in self.slides:
                looked = self.model.inspect(inputs, method="topk")
                overview, attention = np.asarray(inputs["overview"][0]), looked.attention[0]
                for m, mpp in enumerate(self.model.magnifications):
                    shown = overlay(overview, attention[..., m])
                    tf.summary.image(f"{name}/attention at {mpp:g} um per px", shown[None])
                    here = looked.index[0, :, 2] == m
                    if here.any():
                        row = np.concatenate(list(looked.patches[0][here]), axis=1)
                        tf.summary.image(f"{name}/patches at {mpp:g} um per px", row[None])
        self._writer.flush()

    def on_train_end(self, logs: Any = None) -> None:
        self._writer.close()


def overlay(overview: np.ndarray, attention: np.ndarray) -> np.ndarray:
    """An overview `(h, w, 3)` uint8, redder where its attention `(H, W)` is higher; the highest is opaque by 0.7."""
    rows, columns = (side // cells for side, cells in zip(overview.shape, attention.shape, strict=False))
    share = attention / max(float(attention.max()), 1e-12)
    opacity = 0.7 * np.repeat(np.repeat(share, rows, axis=0), columns, axis=1)[..., None]
    return np.round((1 - opacity) * overview + opacity * _LOUDEST).astype(np.uint8)
