"""Tables of the benchmarks."""

from __future__ import annotations

from typing import Any

from experiments.common.result_files import load_one
from experiments.common.table import markdown

READING = [("made JPEG", 0), ("made JPEG", 1), ("made JPEG", 2), ("made Aperio JPEG", 0), ("made Aperio JPEG 2000", 0)]


def reading() -> str:
    """Patches per second, and in brackets how many times openslide-python's, with the most threads measured."""
    found = load_one("reading.json")
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
