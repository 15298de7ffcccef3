"""Keeps what the code of today writes, so that later code can be tested to read it: `python make.py ARCHIVE`.

The archive beside this file holds a cohort's slides, manifest and records, a run that was interrupted while training, a
complete run with its model, the model's two SavedModels, and what the model predicts. It was made once, by the code before the
package was divided into rooms; a new one is made, under another name, before a change of what is written.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import keras
import numpy as np
import pandas as pd
import yaml

CLASSES = ("pale", "striped")
CONFIG = {
    "data": {"slides": "slides", "manifest": "manifest.csv"},
    "splits": {"kind": "manifest"},
    "prepare": {"records": "records", "overview_mpp": 8.0},
    "model": {"patch_size": 32, "n_patches": 4, "stride": 4, "explore_steps": 0},
    "train": {
        "epochs": 3, "batch_size": 2, "checkpoint_minutes": 1e-6, "accumulate": 2, "monitor": "val_loss", "seed": 3,
        "augment": {"flips": False}, "deterministic": False,
    },
}  # fmt: skip
BATCHES = 3  # after which the training is interrupted, in the midst of the second epoch


def make(folder: Path) -> None:
    """Writes all of it into a folder."""
    from ats_mag.cohort.manifest import read_manifest
    from ats_mag.config.reading import read_config
    from ats_mag.prediction.predictor import Predictor
    from ats_mag.preparation import prepare
    from ats_mag.runs.run import Run
    from ats_mag.training.fit import train_fold

    write_slides(folder)
    done = list(prepare(read_manifest(folder / "manifest.csv"), folder / "slides", folder / "records", 8.0, 1))
    assert [p.error for p in done] == [None] * len(done)
    for name in ("interrupted", "complete"):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump({"run": name, **CONFIG}))
    with small_networks():
        with contextlib.suppress(KeyboardInterrupt):
            train_fold(Run.open(read_config(folder / "interrupted.yaml")), 0, [StopAfter(BATCHES)])
        model = train_fold(Run.open(read_config(folder / "complete.yaml")), 0)
    model.export(folder / "savedmodel")
    predict = Predictor(folder / "complete" / "fold-0" / "model.keras")
    expected = {path.name: predict(path).tolist() for path in sorted((folder / "slides").iterdir())}
    (folder / "expected.json").write_text(json.dumps(expected, indent=2) + "\n")


def write_slides(folder: Path) -> None:
    """Six small slides of two classes, and their manifest with a split."""
    from ats_mag.slides.writing.pyramid import write_pyramid

    (folder / "slides").mkdir()
    rows = []
    for i in range(6):
        height, width = (256, 384) if i % 3 else (320, 256)
        image = np.full((height, width, 3), 245, np.uint8)
        image[16 : height - 32, 32 : width - 48] = (170 + 5 * i, 100, 180)
        if i % 2:
            image[16 : height - 32 : 8, 32 : width - 48] //= 2
        write_pyramid(folder / "slides" / f"s{i}.tif", image, 0.5, (1, 4))
        split = "train" if i < 4 else "validation" if i == 4 else "test"
        rows.append((f"s{i}", f"p{i}", f"s{i}.tif", CLASSES[i % 2], split))
    table = pd.DataFrame(rows, columns=["slide_id", "patient_id", "path", "label", "split"])
    table.to_csv(folder / "manifest.csv", index=False)


@contextlib.contextmanager
def small_networks() -> Iterator[None]:
    """Networks of a few thousand weights, so that the files are small."""
    from ats_mag.model import built_in_networks as networks

    attention, feature = networks.attention_network, networks.feature_network
    with (
        mock.patch.object(
            networks, "attention_network", lambda m, stride, **options: attention(m, stride, (8, 8), **options)
        ),
        mock.patch.object(networks, "feature_network", lambda size: feature(size, 16, (8, 16))),
    ):
        yield


class StopAfter(keras.callbacks.Callback):
    """Interrupts training after so many batches."""

    def __init__(self, batches: int) -> None:
        super().__init__()
        self.left = batches

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


if __name__ == "__main__":
    archive = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)
        make(Path())
        with tarfile.open(archive, "x:xz") as packed:
            packed.add(".", filter=lambda entry: None if ".lock" in entry.name else entry)
