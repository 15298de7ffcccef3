"""Patches out of images in memory: ours, `tf.image.crop_and_resize`, and attention-sampling 0.2's C++ op.

    python -m experiments.benchmarks.in_memory [--reference PYTHON] [--quick] [--out FILE]

writes `experiments/results/in_memory.json`. All read the same patches of the same images, which lie in memory already;
only the function's call or the session's run is timed. Each library is a process of its own, held to as many
processors as it has threads. `experiments/megapixel/reference/__init__.py` says how to install attention-sampling 0.2;
without it its rows are absent.

Then: by how much the process grows while patches are read from an image of 1 GB.
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from experiments.benchmarks import reference
from experiments.benchmarks.in_memory.cases import CASES, Case
from experiments.common import in_turns
from experiments.common.arguments import new_parser
from experiments.common.result_files import RESULTS, versions, write
from experiments.common.table import show
from experiments.common.worker import Worker

OURS = ("ours", "ours, jit_compile", "crop_and_resize")
EXTRACTION = "experiments.benchmarks.in_memory.extractors:Extraction"
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3"}
LARGE = {"shape": (1, 18_000, 20_000, 3), "size": (224, 224), "n_patches": 10}


def compare(case: Case, threads: int, python: str | None, repeats: int) -> dict[str, Any]:
    """One case at one number of threads."""
    workers = {"tensorflow": Worker(EXTRACTION, {"threads": threads}, QUIET, threads)}
    if python:
        workers["reference"] = reference.start(python, "Extraction", threads)
    who = dict.fromkeys(OURS, workers["tensorflow"]) | ({reference.NAME: workers["reference"]} if python else {})
    try:
        with tempfile.TemporaryDirectory() as folder:
            files = case.write(Path(folder))
            for worker in workers.values():
                worker("load", *files, case.size)
            patches = {}
            for name, worker in who.items():
                worker("save", name, f"{folder}/patches.npy")
                patches[name] = np.load(f"{folder}/patches.npy")
        same = {name: float((found == patches["ours"]).mean()) for name, found in patches.items()}
        turns = {
            name: lambda name=name, worker=worker: in_turns.Taken(worker("turn", name, case.calls))
            for name, worker in who.items()
        }
        taken = in_turns.seconds(turns, repeats)
    finally:
        for worker in workers.values():
            worker.close()
    rows = {name: {**in_turns.summary(values), "pixels_as_ours": same[name]} for name, values in taken.items()}
    if python:
        for name, row in rows.items():
            row["times_as_fast_as_reference"] = in_turns.ratio(taken[name], taken[reference.NAME])
    return {**asdict(case), "threads": threads, "seconds": rows}


def growth(name: str) -> dict[str, Any]:
    """By how much the process grows while it reads from a large image."""
    worker = Worker(EXTRACTION, {"threads": 2}, QUIET)
    try:
        found = worker("growth", name, LARGE["shape"], LARGE["size"], LARGE["n_patches"])
    finally:
        worker.close()
    return {**found, "share": found["growth"] / found["image"]}


def main() -> None:
    """Measures, prints and writes."""
    parser = new_parser("benchmarks.in_memory", __doc__)
    reference.add_option(parser)
    parser.add_argument("--quick", action="store_true", help="few turns; writes nothing but what --out names")
    parser.add_argument("--out", type=Path, help="file to write instead")
    arguments = parser.parse_args()
    cases = [CASES[0], CASES[2]] if arguments.quick else CASES
    repeats = 5 if arguments.quick else 30
    found = [
        compare(case, threads, arguments.reference, repeats)
        for case in cases
        for threads in ((2,) if arguments.quick else (1, 2))
    ]
    names = [*OURS, *([reference.NAME] if arguments.reference else [])]
    rows = []
    for result in found:
        medians = {name: result["seconds"][name]["median"] * 1e3 for name in names}
        rows.append([f"{result['name']}, {result['threads']} thread(s)", *(f"{medians[name]:.2f}" for name in names)])
    show("milliseconds per batch", ["", *names], rows)
    large = {name: growth(name) for name in (OURS[:1] if arguments.quick else OURS)}
    title = f"growth of the process while it reads an image of {next(iter(large.values()))['image'] / 1e9:.2f} GB"
    show(title, list(large), [[f"{row['growth'] / 1e6:.0f} MB ({row['share']:.1%})" for row in large.values()]])
    if arguments.quick and arguments.out is None:
        return
    written = {
        "compared": "the op's execution alone on images in memory; contestants take turns in one run",
        "versions": versions("ats-mag", "tensorflow", "keras"),
        "cases": found,
        "memory": {**LARGE, "dtype": "uint8", "ways": large},
    }
    print(write(arguments.out or RESULTS / "in_memory.json", written))
