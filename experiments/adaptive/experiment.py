"""How many patches adaptive prediction reads, how often its class is another than the exact one, and what a fixed N would need.

    python -m experiments.adaptive demo demo-run/run/fold-0/model.keras demo-run/run/records demo-run/slides
    python -m experiments.adaptive crc-tiles runs/crc-tiles/run/model.keras runs/crc-tiles/records-56 runs/crc-tiles
    python -m experiments.adaptive GlaS runs/glas/run/fold-0/model.keras runs/glas/run/records runs/glas/slides

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
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.progress import track
from scipy.stats import beta

import ats_mag
from ats_mag.model import stain_free_network  # noqa: F401 - a layer of the experiments' models
from ats_mag.model.adaptive.options import AdaptiveOptions
from experiments.adaptive.fixed_n import FixedN, smallest, wins
from experiments.adaptive.simulation import Run, simulator, stop
from experiments.adaptive.slides import Slides
from experiments.common import stand_out_network  # noqa: F401 - the same
from experiments.common.result_files import RESULTS, write_plain

DECIDES = 0.95  # share of the runs that a fixed N must decide
FIRST = (0, 2, 4, 8, 16)  # most probable cells, read before any is drawn: one run per slide each, in blocks of 1


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
    single = slides.hypotheses.ranked
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
    out: Annotated[Path, typer.Option(help="Where the measures go.")] = RESULTS / "adaptive.json",
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
    write_plain(out, report)
    print(json.dumps(found, indent=1))
