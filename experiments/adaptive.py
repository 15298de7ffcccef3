"""How many patches adaptive prediction reads, how often its class is another than the exact one, and what a fixed N would need.

    python experiments/adaptive.py demo demo-run/model.keras demo-run/records demo-run/slides
    python experiments/adaptive.py crc-tiles runs/crc-tiles/run/model.keras runs/crc-tiles/records-56 runs/crc-tiles
    python experiments/adaptive.py GlaS runs/glas/run/fold-0/model.keras runs/glas/run/records runs/glas/slides

Each adds its data set to `experiments/results/adaptive.json`. What the features of every cell add to the class scores is computed once
and kept in `--cache`; then draws are simulated with the functions of `ats_mag.model.adaptive` themselves. The fixed N are

- of *intervals*, at the same confidence, as the smallest N that decides 95 % of all runs: Hoeffding's and the empirical Bernstein
  bound (Maurer & Pontil, COLT 2009) for draws with replacement, and bets tuned to N (Waudby-Smith & Ramdas, JRSS B 2024, section
  4) for those without; and, for comparison, the adaptive test itself, asked once after N draws;
- of *equal agreement*, as the smallest N whose estimate has the exact class in as large a share of runs.

A slide of fewer than N cells is read whole, and decided.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import crc_tiles_model  # noqa: F401 - registers the layers of its models
import numpy as np
import tensorflow as tf
import typer
from rich.progress import track
from scipy.stats import beta

import ats_mag
from ats_mag.model.adaptive.betting import bet, no_wealth, terms
from ats_mag.model.adaptive.bounds import score_range
from ats_mag.model.adaptive.hypotheses import hypotheses_of
from ats_mag.model.adaptive.options import AdaptiveOptions
from ats_mag.model.adaptive.reading_order import draw_order, estimate
from ats_mag.model.adaptive.stopping import contrasts
from ats_mag.records.record import find_records
from ats_mag.system.whole_file import whole_file

ROOT = Path(__file__).resolve().parents[1]
DECIDES = 0.95  # share of the runs that a fixed N must decide
FIRST = (0, 2, 4, 8, 16)  # most probable cells, read before any is drawn: one run per slide each, in blocks of 1


class Slides:
    """A model's view of slides, of which every cell was read.

    Attributes:
        attention: per slide `(1, H, W, M)`.
        scores: per slide `(H * W * M, C)`, what the feature of each cell adds to the class scores.
    """

    def __init__(self, model: Any, records: Path, slides: Path, split: str, limit: int | None, cache: Path) -> None:
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

    def _read_all(self, model: Any, found: list[dict[str, Any]], slides: Path, kernel: np.ndarray, cache: Path) -> None:
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


class Run(NamedTuple):
    """One order of one slide's K cells, and what is known after each of them.

    Attributes:
        mass: `(K,)` of the cells in order.
        x: `(K, H, J)` contrasts of their features, with the bias: none of hypothesis h is positive in the mean if h is true.
        certain: `(K, H)` which hypotheses are ruled out for certain.
        gone: `(K, H)` which are ruled out.
        standing: `(K, H)` those of the estimate.
        truth: `(H,)` those of all cells.
    """

    mass: np.ndarray
    x: np.ndarray
    certain: np.ndarray
    gone: np.ndarray
    standing: np.ndarray
    truth: np.ndarray


def simulator(slides: Slides, alpha: float, first: int = 0) -> Callable[[int, np.ndarray], Run]:
    """``simulate(i, noise)``: a run on slide i, bets and estimates by the functions that predict."""
    rivals = slides.hypotheses
    _, h, j = rivals.direction.shape

    @tf.function(reduce_retracing=True)
    def simulate(attention: tf.Tensor, scores: tf.Tensor, noise: tf.Tensor) -> tuple[tf.Tensor, ...]:
        order = draw_order(attention, noise, first)
        _, width, depth = tf.unstack(tf.shape(attention)[1:])
        row, column, layer = tf.unstack(order.index, axis=1)
        scores = tf.gather(scores, (row * width + column) * depth + layer)
        x = contrasts(rivals, scores)
        found = terms(x, order.mass, order.left, tf.zeros(h * j), slides.low, slides.shift)
        drawn = tf.range(tf.size(order.mass)) >= first
        _, _, gone = bet(no_wealth(h, j), found, drawn, alpha / rivals.groups)
        certain = tf.reduce_any(tf.reshape(found.certain > found.rounding, (-1, h, j)), axis=2)
        counts = tf.range(1, order.cells + 1)
        standing = tf.vectorized_map(lambda n: rivals.standing(estimate(order, scores, n) + slides.bias), counts)
        truth = rivals.standing(tf.linalg.matvec(scores, order.mass, transpose_a=True) + slides.bias)
        x = tf.reshape(x + slides.shift, (-1, h, j))
        return (*(part[: order.cells] for part in (order.mass, x, certain, gone)), standing, truth)

    def run(i: int, noise: np.ndarray) -> Run:
        found = [part.numpy() for part in simulate(slides.attention[i], slides.scores[i], noise)]
        return Run(*found[:2], *(np.logical_or.accumulate(part) for part in found[2:4]), *found[4:])

    return run


def stop(run: Run, options: AdaptiveOptions) -> tuple[int, bool]:
    """Patches read, and whether the class is another than the exact one."""
    cells = len(run.mass)
    ends = np.unique(np.append(np.arange(options.block, cells, options.block), cells))
    ends = ends[ends >= min(options.min_patches, cells)]
    decided = (run.gone | run.standing)[ends - 1].all(axis=1)
    decided[-1] = True
    n = int(ends[decided.argmax()])
    return n, bool((run.standing[n - 1] != run.truth).any())


def wins(ruled_out: np.ndarray, single: bool) -> np.ndarray:
    """Whether the hypotheses `(..., H)` that are ruled out leave one of each group."""
    if single:
        return ruled_out.sum(axis=-1) >= ruled_out.shape[-1] - 1
    return ruled_out.reshape(*ruled_out.shape[:-1], -1, 2).any(axis=-1).all(axis=-1)


class FixedN:
    """Fixed-N intervals: ``decides[name](run, noise, n)`` says whether that of the first n draws decides.

    Of exclusive classes a hypothesis is ruled out by any rival at level alpha / (C - 1); one of them wins that leaves no other.
    """

    def __init__(self, slides: Slides, alpha: float) -> None:
        self.single = slides.hypotheses.single
        _, h, j = slides.hypotheses.direction.shape
        self.low, self.range = ((part).reshape(h, j) for part in (slides.low, slides.high - slides.low))
        self.log = float(np.log((j if self.single else slides.hypotheses.groups) / alpha))
        self.shift = slides.shift.reshape(h, j)
        self.decides = {
            "hoeffding": self.hoeffding,
            "empirical bernstein": self.bernstein,
            "bets tuned to N": self.bets,
        }

    def _with_replacement(self, run: Run, noise: np.ndarray, n: int) -> np.ndarray:
        cumulative = np.cumsum(run.mass, dtype="float64")
        uniform = np.random.default_rng(noise[0, :4].view("uint32")).random(n) * cumulative[-1]
        return run.x[np.searchsorted(cumulative, uniform).clip(max=len(run.mass) - 1)]

    def hoeffding(self, run: Run, noise: np.ndarray, n: int) -> bool:
        mean = self._with_replacement(run, noise, n).mean(axis=0)
        return self._wins(mean - self.range * np.sqrt(self.log / (2 * n)))

    def bernstein(self, run: Run, noise: np.ndarray, n: int) -> bool:
        if n < 2:
            return False
        x = self._with_replacement(run, noise, n)
        log = self.log + np.log(2)
        width = np.sqrt(2 * x.var(axis=0, ddof=1) * log / n) + 7 * self.range * log / (3 * (n - 1))
        return self._wins(x.mean(axis=0) - width)

    def bets(self, run: Run, _: np.ndarray, n: int) -> bool:
        mass, x = run.mass[:n, None, None], run.x[:n] - self.shift
        before = np.cumsum(mass * x, axis=0) - mass * x
        left = np.maximum(run.mass.sum() - np.cumsum(mass, axis=0) + mass, 0)
        value, loss = before + left * x + self.shift, -(before + left * self.low + self.shift)
        unit = value / self.range
        count = np.arange(1, n + 1)[:, None, None]
        mean = np.cumsum(unit, axis=0) / count
        variance = (0.25 + np.cumsum((unit - mean) ** 2, axis=0)) / (count + 1)
        variance = np.concatenate([np.full_like(variance[:1], 0.25), variance[:-1]])
        stake = np.sqrt(2 * self.log / (n * variance)) / self.range
        stake = np.minimum(stake, 0.99 / np.maximum(loss, 1e-6))
        wealth = np.cumsum(np.log1p(np.maximum(stake * value, -0.99)), axis=0).max(axis=0)
        return bool(wins((wealth >= self.log).any(axis=1) | run.certain[n - 1], self.single))

    def _wins(self, lower: np.ndarray) -> bool:
        return bool(wins((lower > 0).any(axis=1), self.single))


def smallest(holds: Callable[[int], bool], most: int) -> int:
    """The smallest n up to `most` that holds, of a property that goes on holding; `most` itself is not asked."""
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def clopper_pearson(count: int, total: int) -> list[float]:
    """The 95 % interval of a share."""
    low = 0.0 if count == 0 else float(beta.ppf(0.025, count, total - count + 1))
    return [low, 1.0 if count == total else float(beta.ppf(0.975, count + 1, total - count))]


def measure(slides: Slides, runs: int, confidence: float, blocks: list[int]) -> dict[str, Any]:
    """Simulates the runs and compares."""
    simulate = simulator(slides, 1 - confidence)
    done: list[tuple[Run, np.ndarray]] = []
    for i in track(range(runs), "Simulating"):
        slide = i % len(slides.attention)
        noise = np.random.default_rng([i, 5]).random((1, slides.attention[slide].size), dtype="float32")
        done.append((simulate(slide, noise), noise))
    cells = np.array([len(run.mass) for run, _ in done])
    most = int(cells.max())

    def share(decides: Callable[[Run, np.ndarray, int], bool], n: int) -> float:
        return float(np.mean([n >= len(run.mass) or decides(run, noise, n) for run, noise in done]))

    adaptive = {}
    for block in blocks:
        found = [stop(run, AdaptiveOptions(confidence, block=block)) for run, _ in done]
        counts, wrong = np.array([n for n, _ in found]), sum(w for _, w in found)
        quantiles = dict(zip(("median", "q95"), np.quantile(counts, [0.5, 0.95]).tolist(), strict=True))
        adaptive[str(block)] = {
            "differing": int(wrong),
            "share": wrong / runs,
            "share_95": clopper_pearson(int(wrong), runs),
            "patches": {"mean": float(counts.mean()), **quantiles, "largest": int(counts.max())},
            "read_whole": float((counts == cells).mean()),
            "equal_agreement_n": smallest(
                lambda n, wrong=wrong: (
                    sum((r.standing[min(n, len(r.mass)) - 1] != r.truth).any() for r, _ in done) <= wrong
                ),
                most,
            ),
        }
    by_first = {}
    for first in FIRST:
        simulate = simulator(slides, 1 - confidence, first)
        options = AdaptiveOptions(confidence, block=1, min_patches=max(first, 1))
        found = [stop(simulate(i, done[i][1]), options) for i in range(len(slides.attention))]
        by_first[str(first)] = float(np.mean([n for n, _ in found]))
    fixed = {
        name: smallest(lambda n, d=d: share(d, n) >= DECIDES, most)
        for name, d in FixedN(slides, 1 - confidence).decides.items()
    }
    single = slides.hypotheses.single
    once = smallest(lambda n: share(lambda run, _, n: bool(wins(run.gone[n - 1], single)), n) >= DECIDES, most)
    return {
        "slides": len(slides.attention),
        "classes": slides.hypotheses.direction.shape[0],
        "runs": runs,
        "confidence": confidence,
        "cells": {"mean": float(cells.mean()), "largest": most},
        "adaptive_by_block": adaptive,
        "mean_patches_by_first_cells": by_first,
        "fixed_n_of_interval": fixed,
        "fixed_n_of_the_adaptive_test": once,
    }


def main(
    name: Annotated[str, typer.Argument(help="Of the data set in the results.")],
    model: Annotated[Path, typer.Argument(help="A .keras file.")],
    records: Annotated[Path, typer.Argument(help="Folder of the slides' records.")],
    slides: Annotated[Path, typer.Argument(help="Folder that the records' paths are relative to.")],
    split: Annotated[str, typer.Option(help="Of the records.")] = "test",
    runs: Annotated[int, typer.Option(help="At least; a whole number per slide is done.")] = 1000,
    confidence: Annotated[float, typer.Option(help="Of adaptive and fixed-N prediction.")] = 0.95,
    cache: Annotated[
        Path, typer.Option(help="Folder of what was computed of every cell; for a new model, a new one.")
    ] = Path("runs/adaptive"),
    out: Annotated[Path, typer.Option(help="Where the measures go.")] = ROOT / "experiments/results/adaptive.json",
    quick: Annotated[bool, typer.Option(help="Two slides and a few runs only, to see that all works.")] = False,
) -> None:
    """Measures one data set, and adds it to the results."""
    loaded = ats_mag.load_model(model, compile=False)
    kept = cache / f"{name}{'-quick' if quick else ''}.npz"
    cohort = Slides(loaded, records, slides, split, 2 if quick else None, kept)
    n = len(cohort.attention)
    found = measure(cohort, n * -(-(4 if quick else runs) // n), confidence, [1, AdaptiveOptions().block, 16])
    report = json.loads(out.read_text()) if out.exists() else {"experiment": "adaptive", "datasets": {}}
    report["datasets"][name] = found
    with whole_file(out) as unfinished:
        unfinished.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    typer.run(main)
