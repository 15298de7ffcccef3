"""What training over hosts costs: the step in 1, 2 and 4 processes of one thread, and the exchange of gradients apart from it.

    python -m experiments.benchmarks.hosts [--processes 1 2 4] [--batch 4] [--steps 6] [--out FILE]

writes `experiments/results/hosts.json`. All processes are on this machine and exchange over its loopback. Each computes on as many
slides as the others, so that with a processor for each the step would take as long in any number of processes. Efficiency and shares are of
the processor's time, which does not depend on how many processors there are and what else they do; the wall clock's are written beside them.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ats_mag.training.hosts.local import free_ports
from experiments.benchmarks import made_slides
from experiments.common.arguments import new_parser
from experiments.common.processes import ROOT, environment
from experiments.common.result_files import RESULTS, versions, write
from experiments.common.table import show

SIDE = 4096
# The model of many GPUs: not measured. A ring sends 2 (n - 1) / n of the weights, in 2 (n - 1) messages one after the other.
GPUS, STEP_SECONDS, LATENCY = (8, 32), 0.2, 50e-6
NETWORKS = {"10 Gbit/s": 1.25e9, "100 Gbit/s": 12.5e9}  # bytes per second


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints and writes."""
    parser = new_parser("benchmarks.hosts", __doc__)
    parser.add_argument(
        "--processes", type=int, nargs="+", default=[1, 2, 4], help="the first is what others are compared with"
    )
    parser.add_argument("--batch", type=int, default=4, help="slides of each process")
    parser.add_argument("--steps", type=int, default=6, help="that are timed")
    parser.add_argument("--out", type=Path, default=RESULTS / "hosts.json")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        slide = made_slides.tiff(Path(folder) / "slide.tif", made_slides.tissue(SIDE))
        rows = [measured(n, slide, options.batch, options.steps, Path(folder)) for n in options.processes]
    for row in rows:
        exchange, alone = row["exchange_cpu_seconds"], rows[0]["step_cpu_seconds"]
        computing = row["step_cpu_seconds"] - (at(exchange, row["trained_mb"]) if exchange else 0.0)
        row["efficiency"] = alone / computing
        row["share_of_exchange"] = {mb: seconds / (computing + seconds) for mb, seconds in exchange.items()}
    found = {"batch_of_each": options.batch, "load": os.getloadavg(), "processes": rows, "model": model_of_gpus()}
    write(options.out, {**found, "versions": versions("ats-mag", "tensorflow", "keras")})
    show(
        "processes of one thread",
        ["processes", "step, s of a processor", "efficiency"],
        [[str(r["processes"]), f"{r['step_cpu_seconds']:.2f}", f"{r['efficiency']:.2f}"] for r in rows],
    )


def measured(processes: int, slide: Path, batch: int, steps: int, folder: Path) -> dict[str, Any]:
    """Medians of one number of processes, each of that which took longest."""
    addresses = ",".join(f"127.0.0.1:{port}" for port in free_ports(processes))
    outs = [folder / f"{processes}-{k}.json" for k in range(processes)]
    module = "experiments.benchmarks.hosts.one_process"
    begun = [
        subprocess.Popen(
            [sys.executable, "-m", module, addresses, *map(str, (k, slide, batch, steps, out))],
            cwd=ROOT,
            env=environment() | {"OMP_NUM_THREADS": "1", "ATS_MAG_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "2"},
        )
        for k, out in enumerate(outs)
    ]
    if sum(process.wait() != 0 for process in begun):
        raise RuntimeError(f"{processes} processes were to be measured, and some failed: see above")
    found = [json.loads(out.read_text()) for out in outs]

    def longest(of: Callable[[dict[str, Any]], list[list[float]]]) -> tuple[float, float]:
        walls, cpus = ([statistics.median(pair[k] for pair in of(f)) for f in found] for k in (0, 1))
        return max(walls), max(cpus)

    step = longest(lambda f: f["step"])
    exchange = {mb: longest(lambda f, mb=mb: f["exchange"][mb]) for mb in found[0]["exchange"]}
    return {
        "processes": processes,
        "trained_mb": found[0]["trained_mb"],
        "step_seconds": step[0],
        "step_cpu_seconds": step[1],
        "exchange_seconds": {mb: seconds for mb, (seconds, _) in exchange.items()},
        "exchange_cpu_seconds": {mb: seconds for mb, (_, seconds) in exchange.items()},
    }


def at(exchange: dict[str, float], megabytes: float) -> float:
    """The seconds of an exchange of so many MB, between those that were measured in proportion, below them in proportion to the first."""
    known = sorted((float(mb), seconds) for mb, seconds in exchange.items())
    below, above = (0.0, 0.0), known[0]
    for point in known[1:]:
        if megabytes > above[0]:
            below, above = above, point
    return below[1] + (above[1] - below[1]) * (megabytes - below[0]) / (above[0] - below[0])


def model_of_gpus() -> dict[str, Any]:
    """The share of a step that the exchange would take: a calculation from what a network can carry, not a measurement."""
    rows = [
        {
            "gpus": n,
            "network": name,
            "share_of_exchange": {mb: ring(n, mb, speed) / (STEP_SECONDS + ring(n, mb, speed)) for mb in (1, 10, 100)},
        }
        for n in GPUS
        for name, speed in NETWORKS.items()
    ]
    return {"step_seconds": STEP_SECONDS, "latency_seconds": LATENCY, "rows": rows}


def ring(processes: int, megabytes: float, bytes_per_second: float) -> float:
    """Seconds that a ring takes to sum so many MB over so many processes."""
    return 2 * (processes - 1) * (megabytes * 1e6 / processes / bytes_per_second + LATENCY)
