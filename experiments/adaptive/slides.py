"""A model's view of slides, of which every cell was read once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

import ats_mag
from ats_mag.model.adaptive.bounds import score_range
from ats_mag.model.adaptive.hypotheses import hypotheses_of
from ats_mag.model.adaptive.stopping import contrasts
from ats_mag.records.record import find_records
from ats_mag.system.atomic_files import whole_file


class Slides:
    """A model's view of slides, of which every cell was read.

    Args:
        model: a classifier.
        records: folder of the slides' records.
        slides: folder that the records' paths are relative to.
        split: of the records.
        limit: so many slides at most; None: all.
        cache: file of what was computed of every cell; read where it is there, else written.

    Attributes:
        attention: per slide `(1, H, W, M)`.
        scores: per slide `(H * W * M, C)`, what the feature of each cell adds to the class scores.
    """

    def __init__(
        self, model: ats_mag.SlideClassifier, records: Path, slides: Path, split: str, limit: int | None, cache: Path
    ) -> None:
        self.hypotheses = hypotheses_of(model.head_kind, model.head.units)
        kernel, self.bias = model.head.kernel.numpy(), model.head.bias.numpy()
        self.shift = np.asarray(contrasts(self.hypotheses, self.bias[None]))[0]
        self.low, self.high = (np.asarray(x) for x in score_range(model, contrasts(self.hypotheses, kernel)))
        found = find_records(records, split)[:limit]
        if not cache.exists():
            self._read_all(model, found, slides, kernel, cache)
        with np.load(cache) as kept:
            self.attention = [kept[f"attention-{i}"] for i in range(len(found))]
            self.scores = [kept[f"scores-{i}"] for i in range(len(found))]

    def _read_all(
        self, model: ats_mag.SlideClassifier, found: list[dict[str, Any]], slides: Path, kernel: np.ndarray, cache: Path
    ) -> None:
        arrays = {}
        batches = ats_mag.dataset(found, slides, None, 1)
        for i, inputs in enumerate(track(batches, "Reading every cell", len(found))):
            attention = model.attend(inputs).numpy()
            cells = np.flatnonzero(attention)
            index = np.stack(np.unravel_index(cells, attention.shape[1:]), axis=-1)[None].astype("int32")
            scores = np.zeros((attention.size, kernel.shape[1]), "float32")
            for start in range(0, len(cells), model.chunk):
                patches, valid = model.read(inputs, index[:, start : start + model.chunk])
                features = np.where(valid[..., None], model.features_of(patches), 0.0)[0]
                scores[cells[start : start + model.chunk]] = features @ kernel
            arrays |= {f"attention-{i}": attention, f"scores-{i}": scores}
        cache.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(cache) as unfinished, unfinished.open("wb") as file:
            np.savez_compressed(file, **arrays)
