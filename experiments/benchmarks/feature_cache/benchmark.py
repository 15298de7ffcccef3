"""What the cache of features saves, epoch by epoch, and whether it keeps to its bounds.

    python -m experiments.benchmarks.feature_cache runs/crc-tiles [--epochs 20] [--out FILE]

writes `experiments/results/feature-cache.json`. The default encoder and recipe train on the slides of `data_prep.synthetic_slides`,
once with the cache and once without, whose epochs are alike; each epoch is timed without what validates or saves. Losses are those
of the same draws, and must be equal. Then 500 small made slides pass through a cache much too small for them, with a file that is too
small as well; after every batch it is asked what it holds.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

import ats_mag
from ats_mag.demo.cohort import make_cohort
from ats_mag.demo.slides import CLASSES
from ats_mag.records.record import find_records
from experiments.common.arguments import new_parser
from experiments.common.result_files import RESULTS, versions, write
from experiments.common.table import show
from experiments.crc_tiles.data import Cohort
from experiments.crc_tiles.model import classifier
from experiments.crc_tiles.settings import Settings

WITHOUT = 3  # epochs without the cache, all of which take equally long
SMALL = {"slides": 500, "patch_size": 32, "n_patches": 8, "memory_bytes": 2 * 10**6, "file_bytes": 10 * 10**6}


class Timed(keras.callbacks.Callback):
    """Seconds, loss and hit rate of each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.epochs: list[dict[str, float]] = []

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        self._begun = time.perf_counter()
        cache = self.model.feature_cache
        self._before = None if cache is None else cache.counts

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        found = {"seconds": time.perf_counter() - self._begun, "loss": float((logs or {})["loss"])}
        if self._before is not None:
            found["hit_rate"] = self.model.feature_cache.counts.since(self._before).rate
        found["attention_entropy"] = float((logs or {})["attention_entropy"])
        self.epochs.append(found)


def train(cohort: Cohort, epochs: int, total: int, cached: bool) -> list[dict[str, float]]:
    """The first epochs of a training of `total`; the graph is traced before."""
    model = classifier(cohort.settings.model_copy(update={"steps": total}))
    if not cached:
        model.feature_cache = None
    per_epoch = -(-len(cohort.records["train"]) // cohort.settings.batch_size)
    data = cohort.dataset("train", shuffle=True)
    timed = Timed()
    model.fit(data, epochs=epochs, steps_per_epoch=per_epoch, shuffle=False, verbose=0, callbacks=[timed])
    return timed.epochs


def bounds(folder: Path) -> dict[str, Any]:
    """The most that a small cache held, after any batch, while two epochs over many slides passed through it."""
    for _ in make_cohort(folder, 0, SMALL["slides"], 0):
        pass
    slides = folder / "slides"
    failed = [
        p
        for p in ats_mag.prepare(ats_mag.read_manifest(folder / "manifest.csv"), slides, folder / "records", 16.0)
        if p.error
    ]
    if failed:
        raise RuntimeError(f"{len(failed)} slides could not be prepared, the first: {failed[0].error}")
    keras.utils.set_random_seed(0)
    encoder = ats_mag.encoder("efficientnet-lite0", SMALL["patch_size"])
    model = ats_mag.SlideClassifier(
        CLASSES,
        patch_size=SMALL["patch_size"],
        n_patches=SMALL["n_patches"],
        overview_mpp=16.0,
        feature=ats_mag.AdaptedEncoder(encoder, ats_mag.adapter(encoder.output_shape[-1])),
        normalize_features=False,
        seed=0,
    )
    model.compile("adam")
    file = folder / "features.cache"
    file.unlink(missing_ok=True)
    model.feature_cache = cache = ats_mag.FeatureCache(model, SMALL["memory_bytes"], file, SMALL["file_bytes"])
    memory, disk = [], []

    def look(batch: int, logs: object) -> None:
        memory.append(cache.bytes_used)
        disk.append(file.stat().st_size)

    records = find_records(folder / "records")
    data = ats_mag.dataset(records, slides, CLASSES, 10, shuffle=True, seed=0)
    model.fit(
        data, epochs=2, shuffle=False, verbose=0, callbacks=[keras.callbacks.LambdaCallback(on_train_batch_end=look)]
    )
    cache.close()
    return {
        **SMALL,
        "slides": len(records),
        "batches": len(memory),
        "most_memory": max(memory),
        "largest_file": max(*disk, file.stat().st_size),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints and writes."""
    parser = new_parser("benchmarks.feature_cache", __doc__)
    parser.add_argument("slides", type=Path, help="folder made by data_prep.synthetic_slides")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--small", type=Path, default=Path("runs/many-slides"), help="folder of the small slides")
    parser.add_argument("--out", type=Path, default=RESULTS / "feature-cache.json")
    options = parser.parse_args(arguments)
    cohort = Cohort(options.slides, Settings())
    total = options.epochs * -(-len(cohort.records["train"]) // cohort.settings.batch_size)
    plain = train(cohort, WITHOUT, total, cached=False)
    cached = train(cohort, options.epochs, total, cached=True)
    differ = max(abs(a["loss"] - b["loss"]) for a, b in zip(plain, cached, strict=False))
    found = {
        "slides": len(cohort.records["train"]),
        "settings": cohort.settings.model_dump(mode="json"),
        "without": plain,
        "with": cached,
        "largest_difference_of_losses": differ,
        "bounds": bounds(options.small),
        "versions": versions("ats-mag", "tensorflow", "keras"),
    }
    write(options.out, found)
    first = cached[0]["seconds"]
    rows = [
        [str(i + 1), f"{e['seconds']:.1f}", f"{e['seconds'] / first:.2f}", f"{e['hit_rate']:.2f}"]
        for i, e in enumerate(cached)
    ]
    show("an epoch with the cache", ["epoch", "seconds", "of the first", "known"], rows)
    show("", ["without the cache", "median seconds"], [["", f"{np.median([e['seconds'] for e in plain]):.1f}"]])
