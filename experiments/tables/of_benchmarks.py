"""Tables of the benchmarks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from experiments.common.result_files import Result, load_one
from experiments.common.table import markdown

READING = [
    ("made JPEG", "made JPEG", 0),
    ("made JPEG", "made JPEG", 1),
    ("made JPEG", "made JPEG", 2),
    ("made Aperio JPEG", "made Aperio JPEG", 0),
    ("made Aperio JPEG 2000", "made Aperio JPEG 2000", 0),
    ("made DICOM JPEG", "made DICOM JPEG", 0),
    ("NDPI", "test3-DAPI-2-(387).ndpi", 0),  # fluorescence, 3968 x 4864 pixels; the only one at hand
]


def reading() -> str:
    """Patches per second, and in brackets how many times openslide-python's, with the most threads measured."""
    found = load_one("reading.json")
    threads = max(found["settings"]["threads"])
    return _by_slide(
        found,
        f"patches/s, {threads} threads",
        lambda row: f"{row['patches_per_second']['median']:.0f} ({row['times_openslide_python']:.2f})",
    )


def reading_pixels() -> str:
    """How far each reader's pixels are from OpenSlide's."""

    def cell(row: dict[str, Any]) -> str:
        return "" if row["mean_difference"] is None else f"{row['mean_difference']:.2f} ({row['largest_difference']})"

    return _by_slide(load_one("reading-pixels.json"), "grey levels: mean (largest)", cell, levels=(0,))


def _by_slide(
    found: Result, title: str, cell: Callable[[dict[str, Any]], str], levels: Sequence[int] = (0, 1, 2)
) -> str:
    """A column per slide and level of `READING` that was measured, a row per contestant with the most threads."""
    slides = {slide["slide"]: {level["level"]: level for level in slide["levels"]} for slide in found["slides"]}
    shown = [(*one, slides[one[1]][one[2]]) for one in READING if one[2] in levels and one[2] in slides.get(one[1], {})]
    threads = max(found["settings"]["threads"])
    rows: dict[str, list[str]] = {}
    for i, (*_, column) in enumerate(shown):
        for row in column["contestants"].values():
            if row["threads"] == threads:
                rows.setdefault(row["name"], [""] * len(shown))[i] = cell(row)
    head = [title, *(f"{name}, level {level}" for name, _, level, _ in shown)]
    return markdown(head, [[name, *row] for name, row in rows.items()])


def scaling() -> str:
    """Seconds and, in brackets, MiB above what the networks take, by the slide's size."""
    found = load_one("scaling.json")

    def cell(row: dict[str, Any]) -> str:
        return f"{row['seconds']['median']:.2f} ({row['peak_mib']:.0f})" if "seconds" in row else "not measured"

    kinds = {"ours": "ours", "attention": "its overview's network", "every_patch": "every patch"}
    tasks = {"train": "step", "predict": "prediction"}
    head = ["gigapixels", *(f"{word}, {name}" for word in tasks.values() for name in kinds.values())]
    rows = [
        [f"{size['gigapixels']:.2f}", *(cell(size[kind][task]) for task in tasks for kind in kinds)]
        for size in found["sizes"]
    ]
    return markdown(head, rows)


def overlap() -> str:
    """Milliseconds, and how many times the longer of reading and computing."""
    found = load_one("overlap.json")

    def milliseconds(name: str) -> str:
        return f"{found['seconds'][name]['median'] * 1e3:.0f}"

    rows = [["reading alone", milliseconds("reading"), ""]]
    rows.append(["computing alone", milliseconds("computing, 1 parts"), ""])
    for parts, ratio in found["step_to_longer"].items():
        rows.append([f"step, overlap={parts}", milliseconds(f"step, {parts} parts"), f"{ratio:.2f}"])
    return markdown(["", "ms", "times the longer of the two"], rows)


FASTER = "times_as_fast_as_reference"


def step() -> str:
    """Seconds, and in brackets how many times as fast as attention-sampling 0.2."""
    batches = load_one("step.json")["batches"]
    rows = [
        [name, *(f"{b['seconds'][name]['median']:.2f} ({b['seconds'][name][FASTER]:.2f})" for b in batches)]
        for name in batches[0]["seconds"]
    ]
    return markdown(["seconds", *(f"batch {b['batch']}" for b in batches)], rows)


def in_memory() -> str:
    """Milliseconds per batch, and in brackets how many times as fast as attention-sampling 0.2."""
    cases = load_one("in_memory.json")["cases"]
    names = list(cases[0]["seconds"])
    rows = [
        [
            f"{case['name']}, {case['threads']} thread{'s' * (case['threads'] > 1)}",
            *(f"{case['seconds'][n]['median'] * 1e3:.2f} ({case['seconds'][n][FASTER]:.2f})" for n in names),
        ]
        for case in cases
    ]
    return markdown(["ms", *names], rows)


def feature_cache() -> str:
    """The share of patches that were known and the seconds, by epoch."""
    epochs = load_one("feature-cache.json")["with"]
    shown = [i for i in (0, 1, 3, 5, 7, 9, 11, 13, 15, 19, 23) if i < len(epochs)]
    head = ["epoch", *(str(i + 1) for i in shown)]
    rows = [
        ["patches known", *(f"{epochs[i]['hit_rate']:.2f}" for i in shown)],
        ["seconds", *(f"{epochs[i]['seconds']:.0f}" for i in shown)],
    ]
    return markdown(head, rows)


def large_encoder() -> str:
    """Patches and time of a prediction with an encoder of ViT-L's size."""
    found = load_one("large-encoder.json")
    every = found["every_patch"]
    rows = [
        ["`predict`", str(found["patches"]), f"{found['predict_seconds']:.0f} s"],
        [
            "every patch at both magnifications",
            f"{every['patches']:,}",
            f"{every['extrapolated_seconds']:.0f} s, extrapolated from {every['measured']}",
        ],
    ]
    return markdown([f"{found['parameters'] / 1e6:.0f} million weights, 2 CPUs", "patches read", "time"], rows)


def hosts() -> str:
    """Seconds of a step, its efficiency, and the share that the exchange of gradients would take."""
    rows = load_one("hosts.json")["processes"]
    sizes = ("1", "10", "100")
    head = [
        "processes",
        "step, s of a processor",
        "efficiency without the exchange",
        *(f"share of {mb} MB" for mb in sizes),
    ]
    return markdown(head, [
        [
            str(row["processes"]),
            f"{row['step_cpu_seconds']:.2f}",
            f"{row['efficiency']:.2f}",
            *(f"{row['share_of_exchange'][mb]:.0%}" if row["share_of_exchange"] else "" for mb in sizes),
        ]
        for row in rows
    ])  # fmt: skip


def hosts_model() -> str:
    """The share of the exchange that is calculated for many GPUs."""
    model = load_one("hosts.json")["model"]
    sizes = ("1", "10", "100")
    head = [f"calculated, of a step of {model['step_seconds'] * 1e3:.0f} ms", *(f"share of {mb} MB" for mb in sizes)]
    return markdown(head, [
        [f"{row['gpus']} GPUs, {row['network']}", *(f"{row['share_of_exchange'][mb]:.1%}" for mb in sizes)]
        for row in model["rows"]
    ])  # fmt: skip
