"""Writes the measured tables of README.md and docs/ from the result files, `<!-- table NAME -->` to `<!-- end -->`, and draws figures."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import cohort_results
import megapixel_results
import three_scales_results as three_scales
from markdown_table import table

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "experiments" / "results"


def demo() -> str:
    runs = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("demo-seed*.json"))]
    head = ["", *(f"seed {run['seed']}" for run in runs)]
    rows = [
        [f"test accuracy, {name}", *(f"{run['test_accuracy'][name]:.3f}" for run in runs)]
        for name in runs[0]["test_accuracy"]
    ]
    for kind in ("fine", "coarse"):
        places = [run["attention_on_places"][kind] for run in runs]
        rows.append([f"attention on {kind} places", *(f"{p['attention']:.2f}" for p in places)])
        rows.append(["... of it at their magnification", *(f"{p['share_on_its_magnification']:.2f}" for p in places)])
    rows.append(["bytes per record", *(f"{run['record_bytes_per_slide']:.0f}" for run in runs)])
    return table(head, rows)


def estimators() -> str:
    regimes = json.loads((RESULTS / "estimators.json").read_text())["regimes"]
    methods = ["attention-sampling 0.2", "sequential", "replacement", "priority"]
    rows = []
    for regime in regimes:
        cells = [
            f"{m['relative_variance']:.3g} / {m['relative_bias']:.2f} ± {m['monte_carlo_error_of_bias']:.2f}"
            for m in (regime["methods"][name] for name in methods)
        ]
        rows.append([f"{regime['top_10_mass']:.2f}", *cells])
    return table(["top-10 mass", *methods], rows)


def gradient_variance() -> str:
    """Relative variance and cosine with the true gradient, medians over slides, by model and number of patches."""
    found = json.loads((RESULTS / "gradient-variance.json").read_text())["rows"]
    methods = list(dict.fromkeys(row["method"] for row in found))
    rows = []
    for model in ("untrained", "trained"):
        for n in (4, 16, 64):
            here = [row for row in found if (row["model"], row["n"]) == (model, n)]
            cells = []
            for method in methods:
                values = [
                    median(row[key] for row in here if row["method"] == method)
                    for key in ("relative_variance", "cosine")
                ]
                cells.append(f"{values[0]:.{2 if values[0] < 10 else 4}g} / {values[1]:.2f}")
            rows.append([model, str(n), *cells])
    return table(["attention", "N", *methods], rows)


CONTESTANTS = {
    "model": "joint attention sampling",
    "start": "the same, attention frozen as it starts",
    "uniform": "the same, uniform over the tissue",
    "overview": "overview alone",
    "colour": "colour statistics",
}


def crc_tiles() -> str:
    found: dict[str, Any] = json.loads((RESULTS / "crc_tiles.json").read_text())
    rows = []
    for name, words in CONTESTANTS.items():
        auc, more = found["test_auc"][name], found["results"][name]
        places = f"{more['attention_on_places']:.3f}" if "attention_on_places" in more else ""
        read = f"{100 * more['read_per_step']['mean']:.1f} %" if "read_per_step" in more else ""
        rows.append([words, f"{auc['auc']:.3f} ({auc['low']:.3f} to {auc['high']:.3f})", places, read])
    return table(["", "test AUC (95 % interval)", "attention on the places", "tissue read per step"], rows)


READING = [("made JPEG", 0), ("made JPEG", 1), ("made JPEG", 2), ("made Aperio JPEG", 0), ("made Aperio JPEG 2000", 0)]


def reading() -> str:
    """Patches per second, and in brackets how many times openslide-python's, with the most threads measured."""
    found: dict[str, Any] = json.loads((RESULTS / "reading.json").read_text())
    slides = {slide["slide"]: {level["level"]: level for level in slide["levels"]} for slide in found["slides"]}
    columns = [slides[name][level] for name, level in READING]
    threads = max(found["settings"]["threads"])
    head = [f"patches/s, {threads} threads", *(f"{name}, level {level}" for name, level in READING)]
    rows: dict[str, list[str]] = {}
    for i, column in enumerate(columns):
        for row in column["contestants"].values():
            if row["threads"] == threads:
                speed = f"{row['patches_per_second']['median']:.0f} ({row['times_openslide_python']:.2f})"
                rows.setdefault(row["name"], [""] * len(columns))[i] = speed
    return table(head, [[name, *row] for name, row in rows.items()])


def scaling() -> str:
    """Seconds and, in brackets, MiB above what the networks take, by the slide's size."""
    found: dict[str, Any] = json.loads((RESULTS / "scaling.json").read_text())

    def cell(row: dict[str, Any]) -> str:
        return f"{row['seconds']['median']:.2f} ({row['peak_mib']:.0f})" if "seconds" in row else "not measured"

    kinds = {"ours": "ours", "attention": "its overview's network", "every_patch": "every patch"}
    tasks = {"train": "step", "predict": "prediction"}
    head = ["gigapixels", *(f"{word}, {name}" for word in tasks.values() for name in kinds.values())]
    rows = [
        [f"{size['gigapixels']:.2f}", *(cell(size[kind][task]) for task in tasks for kind in kinds)]
        for size in found["sizes"]
    ]
    return table(head, rows)


def overlap() -> str:
    """Milliseconds, and how many times the longer of reading and computing."""
    found: dict[str, Any] = json.loads((RESULTS / "overlap.json").read_text())

    def milliseconds(name: str) -> str:
        return f"{found['seconds'][name]['median'] * 1e3:.0f}"

    rows = [["reading alone", milliseconds("reading"), ""]]
    rows.append(["computing alone", milliseconds("computing, 1 parts"), ""])
    for parts, ratio in found["step_to_longer"].items():
        rows.append([f"step, overlap={parts}", milliseconds(f"step, {parts} parts"), f"{ratio:.2f}"])
    return table(["", "ms", "times the longer of the two"], rows)


def snapping() -> str:
    """Test AUC of each seed, and their mean."""
    by_kind = json.loads((RESULTS / "snapping.json").read_text())["test_auc"]
    words = {"snap": "snapped to tiles", "no-snap": "where the lattice says"}
    rows = []
    for kind, runs in by_kind.items():
        aucs = [run["auc"] for run in runs]
        rows.append([words[kind], *(f"{auc:.3f}" for auc in aucs), f"{sum(aucs) / len(aucs):.3f}"])
    return table(["test AUC", *(f"seed {run['seed']}" for run in by_kind["snap"]), "mean"], rows)


FASTER = "times_as_fast_as_reference"


def step() -> str:
    """Seconds, and in brackets how many times as fast as attention-sampling 0.2."""
    batches: list[dict[str, Any]] = json.loads((RESULTS / "step.json").read_text())["batches"]
    rows = [
        [name, *(f"{b['seconds'][name]['median']:.2f} ({b['seconds'][name][FASTER]:.2f})" for b in batches)]
        for name in batches[0]["seconds"]
    ]
    return table(["seconds", *(f"batch {b['batch']}" for b in batches)], rows)


def in_memory() -> str:
    """Milliseconds per batch, and in brackets how many times as fast as attention-sampling 0.2."""
    cases: list[dict[str, Any]] = json.loads((RESULTS / "in_memory.json").read_text())["cases"]
    names = list(cases[0]["seconds"])
    rows = [
        [
            f"{case['name']}, {case['threads']} thread{'s' * (case['threads'] > 1)}",
            *(f"{case['seconds'][n]['median'] * 1e3:.2f} ({case['seconds'][n][FASTER]:.2f})" for n in names),
        ]
        for case in cases
    ]
    return table(["ms", *names], rows)


def scanners() -> str:
    """How far the predictions of two scans of one tissue agree."""
    found: dict[str, Any] = json.loads((RESULTS / "scanners.json").read_text())
    mishaps, predictions = found["validate"]["mishaps"], found["predictions"]
    named = sum(bool(mishap["named"]) for mishap in mishaps.values())
    rows = [
        ["mishaps that `validate` names, of all", f"{named} of {len(mishaps)}"],
        ["sound slides that it finds fault with", str(len(found["validate"]["others"]))],
        ["test tissues, each scanned twice", str(predictions["tissues"])],
        ["test AUC at 0.25 and at 0.5 um/px", f"{predictions['auc_at_0.25']:.3f}, {predictions['auc_at_0.5']:.3f}"],
        ["difference of the two probabilities, median", f"{predictions['median_difference']:.3f}"],
        ["... largest", f"{predictions['largest_difference']:.3f}"],
    ]
    return table(["", ""], rows)


def glas() -> str:
    """Accuracy and AUC of each contestant."""
    return cohort_results.table("glas")


def adaptive() -> str:
    """Patches of adaptive prediction at its default block, and the fixed N it is compared with."""
    datasets: dict[str, Any] = json.loads((RESULTS / "adaptive.json").read_text())["datasets"]
    found, single = ([d["adaptive_by_block"][block] for d in datasets.values()] for block in ("4", "1"))
    patches = "{mean:.1f} ({median:.0f}, {q95:.0f})"
    best = [min(d["fixed_n_of_interval"].values()) for d in datasets.values()]
    rows = [
        ["slides, runs", *(f"{d['slides']}, {d['runs']}" for d in datasets.values())],
        ["cells per slide, mean", *(f"{d['cells']['mean']:.0f}" for d in datasets.values())],
        [
            "runs whose class is not the exact one (95 % interval)",
            *("{:.2f} % ({:.2f} to {:.2f})".format(*(100 * x for x in (a["share"], *a["share_95"]))) for a in found),
        ],
        ["patches, mean (median, 95 %)", *(patches.format(**a["patches"]) for a in found)],
        ["the same in blocks of 1", *(patches.format(**a["patches"]) for a in single)],
        ["runs that read every cell", *(f"{100 * a['read_whole']:.1f} %" for a in found)],
    ]
    for name in next(iter(datasets.values()))["fixed_n_of_interval"]:
        rows.append([f"fixed N, {name}", *(str(d["fixed_n_of_interval"][name]) for d in datasets.values())])
    rows += [
        ["mean / smallest of these", *(f"{a['patches']['mean'] / n:.2f}" for a, n in zip(found, best, strict=True))],
        ["... in blocks of 1", *(f"{a['patches']['mean'] / n:.2f}" for a, n in zip(single, best, strict=True))],
        ["fixed N, the adaptive test asked once", *(str(d["fixed_n_of_the_adaptive_test"]) for d in datasets.values())],
        ["fixed N whose estimate agrees as often", *(str(a["equal_agreement_n"]) for a in found)],
    ]
    return table(["", *datasets], rows)


TABLES: dict[str, Callable[[], str]] = {
    "demo": demo,
    "estimators": estimators,
    "gradient-variance": gradient_variance,
    "crc-tiles": crc_tiles,
    "reading": reading,
    "scaling": scaling,
    "snapping": snapping,
    "overlap": overlap,
    "step": step,
    "in-memory": in_memory,
    "scanners": scanners,
    "glas": glas,
    "adaptive": adaptive,
    "megapixel": megapixel_results.table,
    "three-scales": three_scales.contest,
    "three-scales-summary": three_scales.summary,
    "three-scales-kinds": three_scales.by_kind,
    "three-scales-places": three_scales.places,
    "three-scales-exhaustive": three_scales.exhaustive,
    "three-scales-cost": three_scales.cost,
    "time-to-accuracy": three_scales.time_to_accuracy,
    "training-ratios": three_scales.training_ratios,
    "inference-ratios": three_scales.inference_ratios,
}


def pages() -> list[Path]:
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
    import result_figures  # Matplotlib is slow to import

    for page in pages():
        page.write_text(filled(page.read_text()))
    result_figures.draw()


if __name__ == "__main__":
    main()
