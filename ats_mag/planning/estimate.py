"""What a planned run will take: disk, memory, time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from ats_mag.cohort.splits import fold_names, part_of
from ats_mag.geometry.multiples import ceil_div
from ats_mag.planning.draft import Draft
from ats_mag.planning.facts import Facts
from ats_mag.planning.probe import Probe
from ats_mag.planning.scales import overview_pixels
from ats_mag.planning.training import bytes_of_slide, cells_seen

RECORD_BYTES = 2.0  # of a record, per pixel of its overview
BASE_MEMORY = 1.3e9  # of a process with TensorFlow and a small encoder
WEIGHTS = 20e6  # of a model with EfficientNet-Lite0
MODELS = 3  # a fold's model and its last two checkpoints
MEASURING = 10.0  # seconds, of measures with their intervals, baselines and pictures
EPOCH = 1.2  # seconds, of a checkpoint, the history and the turn to validation
FEW_AT_A_TIME = 1.5  # times as long as in the probe: patches come few at a time, of slides that must be opened
FREE = 0.75  # of the epochs: those in which the attention changes
NEW_PLACES = (
    0.2  # of a slide's most probable cells, those that were not so an epoch before, as seen on slides of three scales
)


@dataclass(frozen=True)
class Estimate:
    """What a run takes. Sizes are bytes, times seconds.

    Attributes:
        disk: records, models, features that are kept.
        memory: of the training's process.
        gpu_memory: of the GPU; None: unknown, or there is none.
        prepare: of all slides, with the sheets as long as looking at them took.
        train: of all folds; None: nothing was measured.
        evaluate: of all folds; None: nothing was measured.
        rests_on: what was measured, in words.
    """

    disk: float
    memory: float
    gpu_memory: float | None
    prepare: float
    train: float | None
    evaluate: float | None
    rests_on: str

    def lines(self) -> Iterator[str]:
        """For a reader."""
        yield f"disk about {_size(self.disk)}, memory about {_size(self.memory)}" + (
            f", of the GPU {_size(self.gpu_memory)}" if self.gpu_memory else ""
        )
        if self.train is None or self.evaluate is None:
            yield f"prepare about {_time(self.prepare)}; training was not timed: no probe was made"
        else:
            yield (
                f"prepare about {_time(self.prepare)}, train about {_time(self.train)}, evaluate about {_time(self.evaluate)}"
            )
        yield self.rests_on


def estimate(draft: Draft, facts: Facts, splits: pd.DataFrame | None, probe: Probe | None, looking: float) -> Estimate:
    """What a run takes.

    Args:
        draft: the plan.
        facts: it rests on.
        splits: the division of the readable slides.
        probe: what a few steps took; None: none were tried.
        looking: seconds that looking at the slides took.
    """
    folds = 1 if splits is None else len(fold_names(splits))
    records = RECORD_BYTES * sum(overview_pixels(slide, draft["prepare.overview_mpp"]) for slide in facts.slides)
    weights = probe.weights if probe else WEIGHTS
    kept = _bytes_kept(draft, facts, probe)
    disk = records + folds * MODELS * weights + min(kept, 1e9 * draft["train.feature_cache_file_gb"])
    cache = min(kept, 1e9 * draft["train.feature_cache_gb"])
    batch = draft["train.batch_size"] * bytes_of_slide(draft, facts)
    memory = cache + (probe.memory if probe else BASE_MEMORY + (0 if facts.machine.gpus else batch))
    if probe is None:
        gpu = batch + WEIGHTS if facts.machine.gpus else None
        return Estimate(disk, memory, gpu, looking, None, None, "rough: nothing was measured (no probe)")
    train, evaluate = _seconds(draft, facts, splits, probe)
    rests_on = (
        f"measured here: {1000 * probe.patch:.3g} ms a patch that is read and encoded, {probe.rest:.2g} s beside them a step of "
        f"{probe.slides} slides, {1000 * probe.test_rest:.2g} ms a slide of a test, {probe.begin + probe.start:.2g} s before the first "
        "step; other work on this machine makes it longer"
    )
    return Estimate(disk, memory, probe.gpu_memory, looking, train, evaluate, rests_on)


def _seconds(draft: Draft, facts: Facts, splits: pd.DataFrame | None, probe: Probe) -> tuple[float, float]:
    """Of the training and the evaluation of all folds."""
    tissue = {slide: found.tissue_cells for slide, found in facts.tissue.items()}
    draws, epochs = draft["model.n_patches"], draft["train.epochs"]
    test_draws = draft["model.test_n_patches"] or draws
    every = draft["model.test_method"] == "exhaustive"
    seen = cells_seen(draft, facts)
    caches = facts.encoder.caches and draft["train.feature_cache_gb"] > 0
    patch = probe.patch * (FEW_AT_A_TIME if caches else 1)
    train = evaluate = 0.0
    known: dict[str, float] = dict.fromkeys(tissue, 0.0)  # cells that were encoded in earlier folds
    for parts in _parts(splits, list(tissue)):
        steps = epochs * ceil_div(len(parts["train"]), draft["train.batch_size"])
        new = {"train": 0.0, "validation": 0.0, "test": 0.0}
        for part, slides in parts.items():
            for slide in slides:
                total = tissue[slide]
                once = total if every else min(test_draws, total)
                if not caches:
                    new[part] += draws * epochs if part == "train" else once * (epochs if part == "validation" else 1)
                    continue
                wanted = min(seen[slide], total) if part == "train" else once
                if part == "validation" and not every:
                    wanted = min(once * (1 + NEW_PLACES * FREE * epochs), total)
                # What an earlier fold drew hides as much of what this one draws.
                found = wanted * (1 - known[slide] / max(total, 1))
                known[slide] = min(total, known[slide] + found)
                new[part] += found
        train += probe.begin + probe.start + (probe.test_start if parts["validation"] else 0)
        train += steps * probe.rest * draft["train.batch_size"] / probe.slides + new["train"] * patch
        train += epochs * EPOCH + new["validation"] * patch + len(parts["validation"]) * epochs * probe.test_rest
        evaluate += new["test"] * patch + len(parts["test"]) * probe.test_rest
        evaluate += probe.begin + probe.test_start + MEASURING
    return train, evaluate


def _parts(splits: pd.DataFrame | None, known: list[str]) -> Iterator[dict[str, list[str]]]:
    """The known slides of each part, fold by fold."""
    if splits is None:
        yield {"train": known, "validation": [], "test": []}
        return
    for fold in range(len(fold_names(splits))):
        parts = {part: part_of(splits, fold, part) for part in ("train", "validation", "test")}
        yield {part: [slide for slide in slides if slide in known] for part, slides in parts.items()}


def _bytes_kept(draft: Draft, facts: Facts, probe: Probe | None) -> float:
    if not facts.encoder.caches:
        return 0.0
    dimension = (probe.dimension if probe else None) or facts.encoder.dimension
    return sum(cells_seen(draft, facts).values()) * (4 * dimension + 200)


def _size(number: float) -> str:
    for unit, of in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if number >= of:
            return f"{number / of:.2g} {unit}" if number < 100 * of else f"{number / of:.0f} {unit}"
    return f"{number / 1e3:.0f} kB"


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
