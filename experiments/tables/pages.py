"""Writes the measured tables of README.md and docs/ from the result files, `<!-- table NAME -->` to `<!-- end -->`, and draws figures.

python -m experiments.tables
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from experiments.common.processes import ROOT
from experiments.megapixel import results as megapixel
from experiments.panel import comparison
from experiments.panel import table as panel
from experiments.ratios import tables as ratios
from experiments.tables import of_benchmarks, of_experiments
from experiments.three_scales import tables as three_scales

TABLES: dict[str, Callable[[], str]] = {
    "demo": of_experiments.demo,
    "estimators": of_experiments.estimators,
    "gradient-variance": of_experiments.gradient_variance,
    "crc-tiles": of_experiments.crc_tiles,
    "reading": of_benchmarks.reading,
    "reading-pixels": of_benchmarks.reading_pixels,
    "scaling": of_benchmarks.scaling,
    "snapping": of_experiments.snapping,
    "overlap": of_benchmarks.overlap,
    "step": of_benchmarks.step,
    "in-memory": of_benchmarks.in_memory,
    "feature-cache": of_benchmarks.feature_cache,
    "large-encoder": of_benchmarks.large_encoder,
    "hosts": of_benchmarks.hosts,
    "hosts-model": of_benchmarks.hosts_model,
    "scanners": of_experiments.scanners,
    "glas": of_experiments.glas,
    "panel": panel.panel,
    "panel-comparison": comparison.comparison,
    "ablation-crc-tiles": lambda: panel.ablation("crc-tiles"),
    "ablation-three-scales": lambda: panel.ablation("three-scales"),
    "adaptive": of_experiments.adaptive,
    "megapixel": megapixel.table,
    "three-scales": three_scales.accuracy,
    "three-scales-summary": three_scales.summary,
    "three-scales-kinds": three_scales.by_kind,
    "three-scales-places": three_scales.places,
    "three-scales-exhaustive": three_scales.exhaustive,
    "three-scales-cost": three_scales.cost,
    "time-to-accuracy": ratios.time_to_accuracy,
    "training-ratios": ratios.training_ratios,
    "inference-ratios": ratios.inference_ratios,
}


def pages() -> list[Path]:
    """Pages that may have tables."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def filled(text: str) -> str:
    """The page with its tables as the result files have them."""

    def fill(match: re.Match[str]) -> str:
        try:
            found = TABLES[match[1]]()
        except FileNotFoundError:  # not measured here yet: the table stays as it is
            return match[0]
        return f"<!-- table {match[1]} -->\n{found}\n<!-- end -->"

    return re.sub(r"<!-- table ([\w-]+) -->\n.*?<!-- end -->", fill, text, flags=re.DOTALL)


def main() -> None:
    """Writes the tables of all pages, and draws the figures."""
    from experiments.tables.figures import draw  # Matplotlib is slow to import

    for page in pages():
        page.write_text(filled(page.read_text()))
    draw()
