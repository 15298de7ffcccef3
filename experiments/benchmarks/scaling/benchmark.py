"""Time and memory of a training step and of a prediction, against the slide's size: ours, and over every patch.

    python -m experiments.benchmarks.scaling [--work FOLDER] [--quick] [--out FILE]

writes `experiments/results/scaling.json`. Slides of 0.05 to 12.8 gigapixels (see `giant_slides.py`). Three things are measured
in processes of their own per size:

- ours, given the attention: draw 16 patches of 224 x 224 at two magnifications, read, features (EfficientNetV2-B0,
  untrained), head, and back,
- the overview and the attention network over it, which grow with the area (divided by 256),
- all patches of the slide at the finer magnification, read and computed in chunks, their features averaged. Where a
  pass takes longer than `--patience`, the larger sizes are left out; nothing is extrapolated.

Times are medians with warm graphs, the sizes of ours in turns. Memory is what the process takes at its peak above what
it held with its networks made; ours and OpenSlide's caches of decoded tiles (at most 512 MiB) are in it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ats_mag.system import memory
from experiments.benchmarks.giant_slides import write_giant
from experiments.common import in_turns
from experiments.common.arguments import new_parser
from experiments.common.result_files import RESULTS, versions, write
from experiments.common.table import show as show_table
from experiments.common.worker import Worker

SIDES = (7072, 14144, 28288, 56576, 113152)  # 0.05 to 12.8 gigapixels, whole at every level of the pyramid
QUICK_SIDES = (1024,)
TASKS = ("train", "predict")
PARTS = ("sample", "read")
FACTORIES = {
    "Sampled": "sampled:Sampled",
    "Attention": "attention:AttentionAlone",
    "EveryPatch": "every_patch:EveryPatch",
}
ENVIRONMENT = {"TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": ""}
NETWORK = "EfficientNetV2B0"  # the feature network of both, of a usual size: what a patch costs decides every ratio


def network_for(side: int) -> str | None:
    """The feature network; None: the built-in one, which is quick."""
    return None if side in QUICK_SIDES else NETWORK


def start(kind: str, path: Path, side: int) -> Worker:
    """A process that holds one of `FACTORIES`."""
    settings = {"path": str(path), "side": side, "network": network_for(side)}
    return Worker(f"experiments.benchmarks.scaling.{FACTORIES[kind]}", settings, ENVIRONMENT)


def ours(slides: Mapping[int, Path], turns: int) -> dict[int, dict[str, Any]]:
    """All sizes in turns, one task after the other, in processes that do nothing else before their memory is asked."""
    found: dict[int, dict[str, Any]] = {side: {} for side in slides}
    for task in TASKS:
        with ThreadPoolExecutor(2) as pool:  # each start is mostly imports
            started = pool.map(lambda slide: start("Sampled", slide[1], slide[0]), slides.items())
            workers = dict(zip(map(str, slides), started, strict=True))
        try:
            seconds, peaks = all_in_turns(workers, task, turns)
            for side in slides:
                key = str(side)
                found[side][task] = {
                    "seconds": in_turns.summary(seconds[key]),
                    "peak_of_warm_step_mib": max(peaks[key]),
                }
                found[side][task] |= workers[key]("held")
            if task == "train":
                parts = {part: all_in_turns(workers, part, turns)[0] for part in PARTS}
                for side in slides:
                    found[side] |= workers[str(side)]("describe")
                    found[side] |= {part: {"seconds": in_turns.summary(parts[part][str(side)])} for part in PARTS}
        finally:
            for worker in workers.values():
                worker.close()
    return found


def all_in_turns(workers: Mapping[str, Worker], task: str, turns: int) -> tuple[dict[str, list[float]], dict[str, Any]]:
    """Seconds of each worker, and the peak of each of its warm steps in MiB."""
    peaks: dict[str, list[float]] = {key: [] for key in workers}

    def entrant(key: str) -> Callable[[], in_turns.Taken]:
        def turn() -> in_turns.Taken:
            step = workers[key]("do", task)
            peaks[key].append(step["peak_mib"])
            return in_turns.Taken(step["seconds"])

        return turn

    seconds = in_turns.seconds({key: entrant(key) for key in workers}, turns)
    return seconds, {key: values[1:] for key, values in peaks.items()}


def attention(slides: Mapping[int, Path], turns: int) -> dict[int, dict[str, Any]]:
    """One size after the other, each task in a fresh process, while the memory suffices."""
    found: dict[int, dict[str, Any]] = {side: {} for side in slides}
    for task in TASKS:
        last: tuple[int, float] | None = None
        for side, path in slides.items():
            needed = 0 if last is None else last[1] * (side / last[0]) ** 2
            if needed * memory.MIB > 0.8 * memory.available():
                found[side][task] = {"absent": "not measured: this machine's memory may not suffice"}
                continue
            worker = start("Attention", path, side)
            try:
                looks = [worker("do", "look")["seconds"] for _ in range(turns)]
                steps = [worker("do", task) for _ in range(turns + 1)][1:]
                found[side][task] = timed(steps) | {"overview_seconds": in_turns.summary(looks)} | worker("held")
            finally:
                worker.close()
            last = side, found[side][task]["peak_mib"]
    return found


def every_patch(slides: Mapping[int, Path], patience: float) -> dict[int, dict[str, Any]]:
    """One size after the other, each task in a fresh process, while a pass is likely to end within `patience` seconds."""
    found: dict[int, dict[str, Any]] = {side: {} for side in slides}
    for task in TASKS:
        last: tuple[int, float] | None = None
        for side, path in slides.items():
            if last is not None and last[1] * (side / last[0]) ** 2 > patience:
                found[side][task] = {"absent": f"not measured: likely to take over {patience:g} s"}
                continue
            worker = start("EveryPatch", path, side)
            try:
                worker("do", f"warm_{task}")
                steps = [worker("do", task)]
                if steps[0]["seconds"] < patience / 10:
                    steps += [worker("do", task) for _ in range(2)]
                found[side][task] = timed(steps) | worker("held") | worker("describe")
            finally:
                worker.close()
            last = side, steps[0]["seconds"]
    return found


def timed(steps: list[dict[str, float]]) -> dict[str, Any]:
    return {
        "seconds": in_turns.summary([step["seconds"] for step in steps]),
        "peak_of_warm_step_mib": max(step["peak_mib"] for step in steps),
    }


def largest_over_smallest(found: Mapping[int, Mapping[str, Any]], task: str) -> float:
    medians = [row[task]["seconds"]["median"] for row in found.values()]
    return max(medians) / min(medians)


def show(found: Mapping[str, Any]) -> None:
    head = ["gigapixels", "ours, s", "of it drawing", "of it reading", "MiB"]
    head += ["overview + attention, s", "MiB", "every patch, s", "MiB"]
    for task in TASKS:
        rows = []
        for size in found["sizes"]:
            row = [f"{size['gigapixels']:.2f}"]
            row += [cell(size["ours"], task), cell(size["ours"], "sample"), cell(size["ours"], "read")]
            row += [mebibytes(size["ours"], task)]
            for kind in ("attention", "every_patch"):
                row += [cell(size[kind], task), mebibytes(size[kind], task)]
            rows.append(row)
        show_table(f"{task}: largest / smallest of ours {found['largest_over_smallest'][task]:.2f}", head, rows)


def cell(found: Mapping[str, Any], task: str) -> str:
    return f"{found[task]['seconds']['median']:.3g}" if "seconds" in found[task] else "-"


def mebibytes(found: Mapping[str, Any], task: str) -> str:
    return f"{found[task]['peak_mib']:.0f}" if "peak_mib" in found[task] else "-"


def measure(slides: Mapping[int, Path], turns: int, patience: float) -> dict[str, Any]:
    by_kind = {
        "ours": ours(slides, turns),
        "attention": attention(slides, 3),
        "every_patch": every_patch(slides, patience),
    }
    return {
        "versions": versions("tensorflow", "keras", "openslide-bin"),
        "settings": {
            "turns": turns,
            "patience_seconds": patience,
            "patches": 16,
            "patch": 224,
            "network": network_for(min(slides)),
        },
        "largest_over_smallest": {task: largest_over_smallest(by_kind["ours"], task) for task in TASKS},
        "sizes": [
            {"gigapixels": side**2 / 1e9, "side": side, **{kind: rows[side] for kind, rows in by_kind.items()}}
            for side in slides
        ],
    }


def main() -> None:
    """Measures, prints and writes."""
    parser = new_parser("benchmarks.scaling", __doc__)
    parser.add_argument("--work", type=Path, help="folder for the made slides (default: a temporary one)")
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--patience", type=float, default=100.0, help="longest pass over every patch, in seconds")
    parser.add_argument("--quick", action="store_true", help="one small slide, two turns; writes only with --out")
    parser.add_argument("--out", type=Path, help="result file (default: experiments/results/scaling.json)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        sides = QUICK_SIDES if options.quick else SIDES
        slides = {side: write_giant(work / f"giant-{side}.tiff", side) for side in sides}
        found = measure(slides, 2 if options.quick else options.turns, 5 if options.quick else options.patience)
    show(found)
    if options.out or not options.quick:
        write(options.out or RESULTS / "scaling.json", found)
