"""Logs for TensorBoard: metrics, and what the model looks at on a fixed set of slides."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ats_mag.model.attention_layer import attention_rgba, lay_over
from ats_mag.tensors import Logs


def check_installed() -> None:
    """Raises an ImportError where TensorBoard is missing."""
    if importlib.util.find_spec("tensorboard") is None:
        raise ImportError(
            "train.tensorboard: true needs TensorBoard, which is not installed: pip install 'ats-mag[tensorboard]', or set "
            "train.tensorboard: false"
        )


def slides_to_show(
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


class TensorBoardLog(keras.callbacks.Callback):
    """Writes every epoch's logs as scalars, and per shown slide its attention at each magnification and its patches.

    Args:
        folder: of the event files.
        slides: names and inputs (batches of one slide).
    """

    def __init__(self, folder: Path, slides: list[tuple[str, dict[str, Any]]]) -> None:
        super().__init__()
        self.folder, self.slides = folder, slides

    def on_train_begin(self, logs: Logs = None) -> None:
        import tensorflow as tf

        self._writer = tf.summary.create_file_writer(str(self.folder))

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        import tensorflow as tf

        with self._writer.as_default(step=epoch):
            for name, value in (logs or {}).items():
                tf.summary.scalar(name, value)
            for name, inputs in self.slides:
                looked = self.model.inspect(inputs, method="topk")
                overview, attention = np.asarray(inputs["overview"][0]), looked.attention[0]
                for m, mpp in enumerate(self.model.magnifications):
                    shown = lay_over(overview, attention_rgba(attention[..., m]))
                    tf.summary.image(f"{name}/attention at {mpp:g} um per px", shown[None])
                    here = looked.index[0, :, 2] == m
                    if here.any():
                        row = np.concatenate(list(looked.patches[0][here]), axis=1)
                        tf.summary.image(f"{name}/patches at {mpp:g} um per px", row[None])
        self._writer.flush()

    def on_train_end(self, logs: Logs = None) -> None:
        self._writer.close()
